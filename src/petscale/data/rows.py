"""Raw rows of one split, with the file and number of each row for error messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass
class Rows:
    """Rows of one split as they were read.

    `numbers[i]` is the position of `rows[i]` in the file `origin`, counted from 1 (the line number in jsonl). `dropped`
    counts the flawed rows of published data sets that were left out, by reason.
    """

    origin: str
    rows: list[Row]
    numbers: list[int]
    dropped: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, index: int) -> str:
        """The text `<file>: row <n>` for one row."""
        return f"{self.origin}: row {self.numbers[index]}"

    def without(self, indices: set[int], reason: str) -> Rows:
        """The rows without those at `indices`, which are counted under `reason`."""
        kept = [index for index in range(len(self.rows)) if index not in indices]
        return Rows(
            self.origin,
            [self.rows[index] for index in kept],
            [self.numbers[index] for index in kept],
            {**self.dropped, **({reason: len(indices)} if indices else {})},
        )
