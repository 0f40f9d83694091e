"""Folders of results that share a store have separate runs, and none changes those of another."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from petscale.cli.main import main
from petscale.errors import BadInput, Exit
from petscale.study.grid import Grid
from petscale.tracking.ledger import root_id
from petscale.tracking.rounds import Tracker
from petscale.tracking.store import Store
from petscale.tracking.study_run import study_subject
from petscale.tracking.trace import subject

from .conftest import Results

Open = Callable[[], Store]


def held(store: Store, results: Results) -> dict[str, Any]:
    """Every active run of the first cell and of the study, with all that it holds."""
    return {
        run.info.run_id: (run.info.status, run.data.tags, run.data.params, store.points(run.info.run_id))
        for where in (subject(results.cells[0]), study_subject("small"))
        for run in store.runs(where)
    }


def fill(results: Results, loss: float) -> None:
    results.run(results.cells[0], loss=loss)
    report = Path(results.layout.study("small"), "report.html")
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(f"<html>{loss}</html>")


def test_two_folders_with_one_cell_do_not_delete_each_others_runs(
    results: Results, open_store: Open, grid: Grid, tmp_path: Path, study_file: Path
) -> None:
    """Guards against identifying a run by its cell alone: two people, one server, the same study."""
    other = Results(str(tmp_path / "other"), grid)
    for number, folder in enumerate((results, other)):
        fill(folder, loss=1.0 + number)
        Tracker(grid, folder.root, folder.cells).round(open_store)
    store = open_store()
    first = held(store, results)
    assert len(first) == 4
    for folder in (results, other):
        Path(folder.layout.tracked(folder.cells[0])).unlink()
        assert Tracker(grid, folder.root, folder.cells).round(open_store).sent == 1
        options = ["--results", folder.root, "--uri", store.uri, "--verify"]
        assert main(["track", str(study_file), *options]) == Exit.DONE
    assert held(store, results) == first
    fill(other, loss=5.0)  # anew: its own run gives way, the other folder's does not
    Tracker(grid, other.root, other.cells).round(open_store)
    second = held(store, results)
    assert (len(second), len(second.keys() & first.keys())) == (4, 2)


def test_a_copied_folder_is_the_same_study(results: Results, open_store: Open, grid: Grid, tmp_path: Path) -> None:
    """Moved to another disk, results find their runs; without the file that names it, a copy is a study of its own."""
    fill(results, loss=1.0)
    Tracker(grid, results.root, results.cells).round(open_store)
    store = open_store()
    first = held(store, results)
    copy = Results(str(tmp_path / "copy"), grid)
    shutil.copytree(results.root, copy.root)
    assert Tracker(grid, copy.root, copy.cells).round(open_store).unchanged == 1
    assert held(store, results) == first
    Path(copy.root, ".petscale-root").unlink()
    assert Tracker(grid, copy.root, copy.cells).round(open_store).sent == 1
    assert len(held(store, results)) == 4


@pytest.mark.parametrize("is_file", [True, False])
def test_runs_of_older_versions_are_recognised(
    results: Results, open_store: Open, grid: Grid, monkeypatch: pytest.MonkeyPatch, is_file: bool
) -> None:
    """Without the tag: on a server this attempt's run is adopted; in a file older attempts' are retired too."""
    monkeypatch.setattr(Store, "is_file", is_file)
    fill(results, loss=1.0)
    Tracker(grid, results.root, results.cells).round(open_store)
    store = open_store()
    before = held(store, results)
    for run_id in before:
        store.delete_tag(run_id, "root")
    for receipt in Path(results.root, "tracking", "cells").rglob("*.json"):
        receipt.write_text(receipt.read_text().replace('"root"', '"another"'))  # receipts of then had no root
    assert Tracker(grid, results.root, results.cells).round(open_store).sent == 1
    assert held(store, results) == before
    for run_id in before:
        store.delete_tag(run_id, "root")
    fill(results, loss=2.0)
    Tracker(grid, results.root, results.cells).round(open_store)
    assert len(held(store, results)) == (2 if is_file else 4)


def test_a_damaged_name_is_one_line(tmp_path: Path) -> None:
    """A name that changed would make all runs of the folder someone else's."""
    (tmp_path / ".petscale-root").write_text("")
    with pytest.raises(BadInput, match=r"\.petscale-root: '' in place of 16 hexadecimal digits"):
        root_id(str(tmp_path))
