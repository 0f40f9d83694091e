"""How documents grow: a new field with a default changes no digest and makes no old document unreadable.

A dataclass that is written as JSON marks each field that was added after its first format with `later(default)`. Such a
field is left out of the document while it has its default, so older documents and digests stay the same. If it is
missing, it gets its default. Fields of the first format must be present. A field that the class does not know is
refused, because this version cannot take its meaning into account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields
from typing import Any, TypeVar

from petscale.errors import BadInput

T = TypeVar("T")

_LATER = "petscale.later"


def later(default: Any) -> Any:
    """A dataclass field that the first format did not have; if the default is {}, each object gets its own."""
    if default == {} and isinstance(default, dict):
        return field(default_factory=dict, metadata={_LATER: True})
    return field(default=default, metadata={_LATER: True})


def outgoing(entry: Any) -> dict[str, Any]:
    """The fields of a dataclass, without later ones that have their default. Values are not copied."""
    known = ((name, getattr(entry, name), default) for name, default in _defaults(type(entry)).items())
    return {name: value for name, value, default in known if default is MISSING or value != default}


def incoming(cls: type[T], document: object, what: str) -> T:
    """The inverse of `outgoing`.

    Args:
        cls: the dataclass.
        document: its fields; nested values must be converted already.
        what: name of the document for the message.

    Raises:
        BadInput: the document is not a mapping, a field of the first format is missing, or a field is unknown.
    """
    if not isinstance(document, Mapping):
        raise BadInput(f"{what}: expected a mapping of fields, found {document!r}")
    known = _defaults(cls)
    missing = [name for name, default in known.items() if default is MISSING and name not in document]
    unknown = [str(name) for name in document if name not in known]
    if missing:
        raise BadInput(f"{what}: field {min(missing)} is missing")
    if unknown:
        raise BadInput(f"{what}: field {min(unknown)} is unknown to this version of petscale")
    return cls(**document)


def _defaults(cls: Any) -> dict[str, Any]:
    """Every field with the value that it gets if it is absent; MISSING for fields of the first format."""
    return {entry.name: _default(entry) for entry in fields(cls)}


def _default(entry: Field[Any]) -> Any:
    if not entry.metadata.get(_LATER):
        return MISSING
    return entry.default if entry.default_factory is MISSING else entry.default_factory()
