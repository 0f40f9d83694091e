#!/usr/bin/env bash
# Set up the cluster and the image, run the tests marked `cluster`, take the cluster down. Arguments go to pytest.
# With `--image` alone it only builds the image, which needs no environment, so that CI does it beside other work.
# What is slow to make (packages, base, image) is kept in $PETSCALE_CLUSTER for the next time.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${PETSCALE_CLUSTER:-/var/tmp/petscale-cluster}
key=$(cat envs/requirements.lock containers/petscale.def containers/environment.py | sha256sum | cut -c 1-12)
export PETSCALE_CLUSTER_IMAGE=$folder/petscale-$key.sif

image() {
    [ -f "$PETSCALE_CLUSTER_IMAGE.json" ] && return
    local base=$folder/base
    if [ ! -f "$base/usr/bin/python3" ]; then
        echo "cluster: making a base from Debian's packages" >&2
        rm -rf "$base"
        mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$base" >"$folder/base.log" 2>&1
    fi
    echo "cluster: building the image" >&2
    BASE=$base containers/build.sh "$PETSCALE_CLUSTER_IMAGE" >"$folder/build.log" 2>&1 ||
        { tail -n 20 "$folder/build.log" >&2; exit 1; }
}

tests/cluster/cluster.sh install
eval "$(tests/cluster/cluster.sh env)"
image
[ "${1:-}" != --image ] || exit 0
trap 'tests/cluster/cluster.sh down' EXIT
tests/cluster/cluster.sh up
python -m pytest -m cluster tests/cluster "$@"
