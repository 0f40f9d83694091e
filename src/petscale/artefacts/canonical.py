"""Canonical JSON, and digests of it, which identify cells, inputs and plans."""

from __future__ import annotations

import hashlib
import json
from typing import Any

DIGEST_LENGTH = 12  # 48 bits: a million cells collide with probability 0.002


def canonical(document: Any) -> str:
    """Canonical JSON text of a document, from which digests are computed: sorted keys, no spaces, no NaN."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(document: Any, length: int = DIGEST_LENGTH) -> str:
    """The first `length` hex digits of the SHA-256 of a document's canonical JSON."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()[:length]
