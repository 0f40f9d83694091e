"""Reads sizes from the content of a `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from petscale.errors import BadInput


def size(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """A positive whole number of the config.

    Raises:
        BadInput: it is missing or no positive whole number; the message names the key.
    """
    value = config.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadInput(f"config key {key}: expected a positive whole number, found {value!r}")
    return value
