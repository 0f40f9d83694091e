"""Raw rows of one split, with the file and number of each row for error messages."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from petscale.errors import BadInput

Row = dict[str, Any]

_SHOWN = 12  # names in a message


@dataclass
class Rows:
    """Rows of one split as they were read.

    Attributes:
        origin: the file, or the place on the hub.
        rows: the rows.
        numbers: position of each row in `origin`, counted from 1 (the line number in jsonl).
        dropped: number of flawed rows of published data sets that were left out, by reason.
        lines: first line of each row in a csv or tsv file, where a row may have several lines and the header is line 1.
        told: number of rows with something that is accepted but that a reader of the scores must know, by what it is.
    """

    origin: str
    rows: list[Row]
    numbers: list[int]
    dropped: dict[str, int] = field(default_factory=dict)
    lines: list[int] | None = None
    told: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, index: int) -> str:
        """The text `<file>: row <n>` for one row, with its line if that is another number."""
        line = "" if self.lines is None else f" (line {self.lines[index]})"
        return f"{self.origin}: row {self.numbers[index]}{line}"

    def without(self, indices: set[int], reason: str) -> Rows:
        """The rows without those at `indices`, which are counted under `reason`."""
        kept = [index for index in range(len(self.rows)) if index not in indices]
        return Rows(
            self.origin,
            [self.rows[index] for index in kept],
            [self.numbers[index] for index in kept],
            {**self.dropped, **({reason: len(indices)} if indices else {})},
            None if self.lines is None else [self.lines[index] for index in kept],
            self.told,
        )

    def tell(self, what: str, count: int) -> None:
        """Count rows with something that a reader of the scores must know; nothing is kept for a count of 0."""
        if count:
            self.told[what] = self.told.get(what, 0) + count


def pick(row: Mapping[str, Any], columns: Iterable[str], place: str) -> Row:
    """The columns that a task reads; other columns are not looked at.

    Raises:
        BadInput: a column is missing.
    """
    for column in columns:
        if column not in row:
            raise BadInput(f"{place}: column {column!r} is missing (there are: {listed(row)})")
    return {column: row[column] for column in columns}


def positions(names: Sequence[str], columns: Iterable[str], place: str) -> dict[str, int]:
    """Column -> position in a table whose header has these names. Other names may be missing, strange or repeated.

    Raises:
        BadInput: a column is missing, or is there twice.
    """  # noqa: DOC501  `twice` makes a BadInput
    counts = Counter(names)
    pick(counts, columns, place)
    for column in columns:
        if counts[column] > 1:
            raise twice(column, place)
    return {column: names.index(column) for column in columns}


def twice(column: str, place: str) -> BadInput:
    """The error of a column that is there twice, so that nobody can say which one is meant."""
    return BadInput(f"{place}: column {column!r} is there twice; keep the one that is meant")


def listed(names: Iterable[str]) -> str:
    """Names for a message of one line: odd ones in quotation marks, long ones and long lists shortened."""
    names = list(names)
    plain = [name if name.isprintable() and name == name.strip() != "" else repr(name) for name in names[:_SHOWN]]
    short = [name if len(name) <= 60 else reprlib.repr(name) for name in plain]
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*short, *more])
