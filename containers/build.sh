#!/bin/sh
# Build the image from the lock file. Usage: containers/build.sh [IMAGE]
#   BASE    docker://python:3.11-slim by default, or a folder with a root file system, or an image
#   TORCH   cpu, cuda or any: which build of torch the image must contain
#   PIP     options for pip; by default made from PIP_FIND_LINKS, PIP_INDEX_URL and PIP_EXTRA_INDEX_URL
set -eu
cd "$(dirname "$0")/.."
image=${1:-containers/petscale.sif}
base=${BASE:-docker://python:3.11-slim}
command -v apptainer >/dev/null || { echo "containers/build.sh: apptainer is missing (docs/cluster.md)" >&2; exit 2; }
case $base in
docker://*) bootstrap=docker base=${base#docker://} ;;
*)
    bootstrap=localimage
    [ -e "$base" ] || { echo "containers/build.sh: BASE=$base: no such folder or image" >&2; exit 2; }
    ;;
esac

options=${PIP:-}
set --
if [ -z "$options" ]; then
    if [ -d "${PIP_FIND_LINKS:-}" ]; then
        # The build sees only those folders of the host that are bound, and they must be bound onto folders of the base.
        set -- --bind "$PIP_FIND_LINKS:/mnt"
        options="--find-links /mnt"
    elif [ -n "${PIP_FIND_LINKS:-}" ]; then
        options="--find-links $PIP_FIND_LINKS"
    fi
    [ -z "${PIP_INDEX_URL:-}" ] || options="$options --index-url $PIP_INDEX_URL"
    [ -z "${PIP_EXTRA_INDEX_URL:-}" ] || options="$options --extra-index-url $PIP_EXTRA_INDEX_URL"
fi
certificates=${PIP_CERT:-}
if [ -f "$certificates" ]; then
    set -- "$@" --bind "$(dirname "$certificates"):/media"
    options="$options --cert /media/$(basename "$certificates")"
fi
# Thousands of short jobs open the image, and zstd opens and unpacks faster than the default.
apptainer build --force --mksquashfs-args "-comp zstd -Xcompression-level 3" "$@" \
    --build-arg "bootstrap=$bootstrap" --build-arg "base=$base" --build-arg "torch=${TORCH:-any}" \
    --build-arg "pip=$options" "$image.part" containers/petscale.def
apptainer exec "$image.part" cat /opt/petscale/environment.json >"$image.environment"
mv "$image.part" "$image"
PYTHONPATH=src${PYTHONPATH:+:$PYTHONPATH} python3 -m petscale.workspace.image "$image" "$image.environment"
rm "$image.environment"
