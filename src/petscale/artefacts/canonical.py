"""Canonical JSON and digests of documents: the text by which everything in the project has an identity."""

from __future__ import annotations

import hashlib
import json
from typing import Any

DIGEST_LENGTH = 12  # 48 bits: a million cells collide with probability 0.002


def canonical(document: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN. The text that digests are taken of."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(document: Any, length: int = DIGEST_LENGTH) -> str:
    """The first `length` hex digits of the SHA-256 of a document's canonical JSON."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()[:length]
