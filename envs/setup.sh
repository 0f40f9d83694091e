#!/bin/sh
# Create .venv with the locked versions and this package. Usage: envs/setup.sh LOCK
# The lock file does not pin the build of torch: pip installs the CUDA build of the package index, or a CPU build if
# PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL offers one.
set -eu
lock=$1
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "envs/setup.sh: Python 3.11 or newer is needed; $("$python" --version) was found (set PYTHON)" >&2
    exit 2
}
if [ ! -x .venv/bin/pip ]; then
    rm -rf .venv
    if ! "$python" -m venv .venv 2>/dev/null; then
        # Debian has venv in a package of its own.
        rm -rf .venv
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
            "$python" -m venv .venv
        else
            echo "envs/setup.sh: python's venv is missing: apt-get install python3-venv" >&2
            exit 2
        fi
    fi
fi
echo "installing the locked environment into .venv (a few minutes the first time)"
# The lock names every package, so nothing is resolved anew; modules are compiled when they are first imported.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile -r "$lock"
.venv/bin/python -m pip --disable-pip-version-check check
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
