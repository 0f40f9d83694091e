"""`track --follow` sends the cells of searches too, which are chosen while it runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from petscale.tracking.rounds import Round, Tracker
from petscale.training.probe import run_probe
from petscale.workspace.searches import probes
from search.made import GRID, SEARCH, Folder


def test_following_ends_with_the_last_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All cells that are known at the start have ended; between two rounds of tracking the search trains one more."""
    folder = Folder(tmp_path / "results")
    left = list(probes(SEARCH))
    sent: set[str] = set()

    def send(self: Tracker, store: Any, cell: str, done: Round) -> None:
        done.phases[cell] = "done"
        sent.add(cell)

    def sleep(seconds: float) -> None:
        run_probe(SEARCH, *left.pop(0), folder.layout, folder.train)

    monkeypatch.setattr(Tracker, "_send", send)
    monkeypatch.setattr(Tracker, "_send_study", lambda self, store, done: None)
    monkeypatch.setattr(time, "sleep", sleep)
    tracker = Tracker(GRID, str(tmp_path / "results"), GRID.cells)
    done = tracker.follow(lambda: object(), lambda line: None, 0.0)  # type: ignore[arg-type, return-value]
    assert left == []
    assert set(folder.trained) <= sent
    assert len(done.phases) == len(GRID.cells) + 7


def test_following_some_cells_does_not_wait_for_searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Folder(tmp_path / "results")
    first = next(iter(GRID.cells))

    def send(self: Tracker, store: Any, cell: str, done: Round) -> None:
        done.phases[cell] = "done"

    monkeypatch.setattr(Tracker, "_send", send)
    tracker = Tracker(GRID, str(tmp_path / "results"), [first])
    done = tracker.follow(lambda: object(), lambda line: None, 0.0)  # type: ignore[arg-type, return-value]
    assert list(done.phases) == [first]
