"""Raw rows of one split, with what is needed to name the place of a fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass
class Rows:
    """Rows of one split as they were read.

    `numbers[i]` is the place of `rows[i]` in `origin`, counted from 1 (the line number in jsonl); `dropped`
    counts rows that published data sets are known to carry and that were left out, by reason.
    """

    origin: str
    rows: list[Row]
    numbers: list[int]
    dropped: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, index: int) -> str:
        """`<file>: row <n>` of one row."""
        return f"{self.origin}: row {self.numbers[index]}"

    def without(self, indices: set[int], reason: str) -> Rows:
        """The same rows less some, counted under `reason`."""
        kept = [index for index in range(len(self.rows)) if index not in indices]
        return Rows(
            self.origin,
            [self.rows[index] for index in kept],
            [self.numbers[index] for index in kept],
            {**self.dropped, **({reason: len(indices)} if indices else {})},
        )
