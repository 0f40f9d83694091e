"""Reads the header of a safetensors file: names and sizes of its tensors, without the tensors."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from petscale.errors import BadInput

_LENGTH = struct.Struct("<Q")
_LARGEST = 100_000_000  # the limit of the format


def read_header(file: Path) -> dict[str, Any]:
    """The JSON header: one entry for each tensor, and `__metadata__`.

    Raises:
        BadInput: the file cannot be read or is no safetensors file.
    """
    try:
        with open(file, "rb") as handle:
            (length,) = _LENGTH.unpack(handle.read(_LENGTH.size))
            if length > _LARGEST:
                raise ValueError("header too long")
            header = json.loads(handle.read(length))
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from None
    except (ValueError, struct.error) as error:
        raise BadInput(f"{file}: not a safetensors file ({error})") from None
    if not isinstance(header, dict):
        raise BadInput(f"{file}: not a safetensors file (header is no object)")
    return header


def tensor_names(file: Path) -> frozenset[str]:
    """Names of the tensors in the file.

    Raises:
        BadInput: as `read_header`.
    """
    return frozenset(read_header(file)) - {"__metadata__"}
