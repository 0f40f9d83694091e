#!/bin/sh
# Resolve pyproject.toml into two lock files: one for running, one for development. They contain no index address.
set -eu
compile() {
    pip-compile --quiet --strip-extras --allow-unsafe --no-header --no-emit-index-url --no-emit-find-links \
        --no-emit-trusted-host "$@" pyproject.toml
}
compile -o envs/requirements.lock --extra build
compile -o envs/requirements-dev.lock --extra build --extra dev -c envs/requirements.lock
# A build label such as +cpu would restrict the lock file to one kind of machine, so it is removed.
sed -i 's/^\(torch==[0-9.]*\)+[a-z0-9]*/\1/' envs/requirements.lock envs/requirements-dev.lock
