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


def row(config: Mapping[str, Any], key: str, rows: int, default: int | None = None) -> int:
    """A row of the vocabulary that the config names, such as that of padding.

    Args:
        config: the content of the file.
        key: its key; null counts as missing.
        rows: number of rows of the vocabulary.
        default: what a missing key means; None if it must be there.

    Raises:
        BadInput: it is missing or no row; the message names the key.
    """
    found = config.get(key)
    value = default if found is None else found
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < rows:
        raise BadInput(f"config key {key}: expected a row of the vocabulary (0 to {rows - 1}), found {found!r}")
    return value
