#!/usr/bin/env bash
# Set up the cluster and the image, run the tests marked `cluster`, take the cluster down. Arguments go to pytest.
# What is slow to make (packages, base, image) is kept in $PETSCALE_CLUSTER for the next time.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${PETSCALE_CLUSTER:-/var/tmp/petscale-cluster}
tests/cluster/cluster.sh up
trap 'tests/cluster/cluster.sh down' EXIT
eval "$(tests/cluster/cluster.sh env)"

key=$(cat envs/requirements.lock containers/petscale.def containers/environment.py | sha256sum | cut -c 1-12)
export PETSCALE_CLUSTER_IMAGE=$folder/petscale-$key.sif
if [ ! -f "$PETSCALE_CLUSTER_IMAGE.json" ]; then
    base=$folder/base
    if [ ! -f "$base/usr/bin/python3" ]; then
        echo "cluster: making a base from Debian's packages" >&2
        rm -rf "$base"
        mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$base" >"$folder/base.log" 2>&1
    fi
    echo "cluster: building the image" >&2
    BASE=$base containers/build.sh "$PETSCALE_CLUSTER_IMAGE" >"$folder/build.log" 2>&1 ||
        { tail -n 20 "$folder/build.log" >&2; exit 1; }
fi
python -m pytest -m cluster tests/cluster "$@"
