"""How files are named, written and checked: paths, canonical JSON, digests, atomic writes, manifests, packed arrays."""
