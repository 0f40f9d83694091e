"""The seal of a manifest: a digest of the document that is stored in the document, so that damage is noticed.

A manifest contains the digests of the files that it describes; the seal protects the manifest itself in the same way.
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
    """Check the seal and return the document without it; a document that never had a seal is accepted.

    Raises:
        BadInput: the document was changed after it was sealed.
    """
    found = {key: value for key, value in document.items() if key != SEAL}
    if SEAL in document and document[SEAL] != digest(found, 64):
        raise BadInput(f"{path}: key {SEAL}: changed since it was written; remove it and its rule makes it anew")
    return found
