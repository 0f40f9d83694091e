"""The ground: canonical JSON, digests, atomic writes, sealed manifests, packed arrays, names and paths of results."""
