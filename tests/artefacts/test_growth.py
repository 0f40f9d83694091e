"""A new field with a default changes no document of before and makes none unreadable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from petscale.artefacts.canonical import canonical
from petscale.artefacts.growth import incoming, later, outgoing
from petscale.errors import BadInput


@dataclass(frozen=True)
class Old:
    width: int
    tied: bool = False


@dataclass(frozen=True, slots=True)
class New:
    """The same, grown by three fields."""

    width: int
    tied: bool = False
    mode: str = later("plain")
    shared: tuple[int, ...] = later(())
    settings: Mapping[str, Any] = later({})


def test_defaults_of_later_fields_are_not_written() -> None:
    assert canonical(outgoing(New(3))) == canonical(outgoing(Old(3))) == '{"tied":false,"width":3}'


def test_old_documents_are_read_and_new_ones_survive() -> None:
    assert incoming(New, outgoing(Old(3, True)), "entry") == New(3, True)
    for entry in (New(3), New(3, mode="other"), New(3, shared=(1,), settings={"std": 0.1})):
        assert incoming(New, outgoing(entry), "entry") == entry


def test_what_is_not_the_default_is_written_and_old_versions_refuse_it() -> None:
    """A reader that does not know the field must not take the entry for another."""
    with pytest.raises(BadInput, match="entry: field mode is unknown to this version"):
        incoming(Old, outgoing(New(3, mode="other")), "entry")


def test_defaults_are_not_shared_between_objects() -> None:
    assert New(1).settings is not New(2).settings


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ({"tied": False}, "entry: field width is missing"),
        ({"width": 3}, "entry: field tied is missing"),  # of the first format, where defaults were written
        ({"width": 3, "tied": False, "widht": 3}, "entry: field widht is unknown"),
        ([], "entry: expected a mapping of fields"),
    ],
)
def test_a_document_that_is_none_is_one_line(document: Any, line: str) -> None:
    with pytest.raises(BadInput, match=line):
        incoming(New, document, "entry")
