"""The seal of a manifest: a digest of the document in the document, so that a flipped byte in it is noticed.

Manifests carry the digests of the files that they describe; the seal does for the manifest what they do for files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from petscale.artefacts.canonical import digest
from petscale.errors import BadInput

SEAL = "seal"


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with its seal."""
    return {**document, SEAL: digest(document, 64)}


def unsealed(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """The document without its seal; one that never had a seal passes.

    Raises:
        BadInput: the document is not what was sealed.
    """
    found = {key: value for key, value in document.items() if key != SEAL}
    if SEAL in document and document[SEAL] != digest(found, 64):
        raise BadInput(f"{path}: key {SEAL}: changed since it was written; remove it and its rule makes it anew")
    return found
