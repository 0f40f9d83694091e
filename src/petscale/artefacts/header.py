"""Reads the header of a safetensors file: names, types and places of its tensors, without the tensors."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petscale.artefacts.kinds import foreign
from petscale.errors import BadInput

_LENGTH = struct.Struct("<Q")
_LARGEST = 100_000_000  # the limit of the format
_BLOCK = 1 << 20  # bytes that are compared at once


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file: `start` and `stop` are positions in the file, in bytes; `dtype` is the format's word."""

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read_header(file: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file, by name.

    Raises:
        BadInput: the file cannot be read, is no safetensors file, or is cut short.
    """  # noqa: DOC501  ValueError is caught below
    try:
        with open(file, "rb") as handle:
            head = handle.read(512)
            size = handle.seek(0, 2)
            handle.seek(0)
            if kind := foreign(head):
                raise BadInput(f"{file}: {kind}")
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
    begin = _LENGTH.size + length
    tensors = {name: _entry(file, name, entry, begin) for name, entry in header.items() if name != "__metadata__"}
    needed = max((tensor.stop for tensor in tensors.values()), default=begin)
    if needed > size:
        raise BadInput(f"{file}: cut short: {size:,} bytes, but its tensors need {needed:,}; copy it again")
    return tensors


def _entry(file: Path, name: str, entry: Any, begin: int) -> StoredTensor:
    try:
        start, stop = entry["data_offsets"]
        shape = tuple(int(length) for length in entry["shape"])
        return StoredTensor(file, name, str(entry["dtype"]), shape, begin + int(start), begin + int(stop))
    except (KeyError, TypeError, ValueError):
        raise BadInput(f"{file}: not a safetensors file (tensor {name!r} has no type, shape or place)") from None


def same_content(one: StoredTensor, other: StoredTensor) -> bool:
    """Whether two tensors are equal in type, shape and every byte. Different ones are told by their first bytes."""
    if (one.dtype, one.shape, one.stop - one.start) != (other.dtype, other.shape, other.stop - other.start):
        return False
    with open(one.file, "rb") as first, open(other.file, "rb") as second:
        first.seek(one.start)
        second.seek(other.start)
        left = one.stop - one.start
        while left > 0:
            block = first.read(min(_BLOCK, left))
            if not block or block != second.read(len(block)):
                return False
            left -= len(block)
    return True
