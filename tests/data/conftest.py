"""Small local data sets with the hub's columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from petscale.data.sources import LocalSource

Row = dict[str, Any]
Write = Callable[..., LocalSource]


def reviews(count: int, first: int = 0) -> list[Row]:
    """`count` different sst2 rows with labels in turn."""
    return [{"sentence": f"review number {first + n}", "label": n % 2, "idx": n} for n in range(count)]


@pytest.fixture
def local(tmp_path: Path) -> Write:
    """`local(task, train=rows, validation=rows)` writes jsonl files and gives their source."""

    def write(task: str, **splits: Iterable[Row]) -> LocalSource:
        folder = tmp_path / "rows" / task
        folder.mkdir(parents=True, exist_ok=True)
        for split, rows in splits.items():
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return LocalSource(tmp_path / "rows", "made-up")

    return write
