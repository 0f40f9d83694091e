"""Probes train the cell that follows from earlier results; a killed search goes on as if it had not been."""

from __future__ import annotations

from pathlib import Path

import pytest

from petscale.artefacts.layout import Layout
from petscale.cells.record import write_result
from petscale.errors import BadInput, Exit
from petscale.search.record import Probe, read_note, read_probe, write_probe
from petscale.study.cell import Cell
from petscale.training.probe import run_probe
from petscale.workspace.searches import broken_probes, chosen_cell, probes, search_status, with_found
from search.made import GRID, SEARCH, Folder, grid_of, points, result_of


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "results")


def test_a_search_killed_after_every_cell_gives_the_same_budgets_and_numbers(tmp_path: Path) -> None:
    """Each cell is killed twice: in training, and between its result and the record of its probe."""
    whole = Folder(tmp_path / "whole").run()
    folder = Folder(tmp_path / "killed")
    begun: set[str] = set()
    trained: set[str] = set()

    def killed(cell: Cell) -> Exit:
        if cell.path not in begun:
            begun.add(cell.path)
            raise KeyboardInterrupt("before its result")
        code = folder.train(cell)
        if cell.path not in trained:
            trained.add(cell.path)
            raise KeyboardInterrupt("after its result")
        return code

    for _ in range(100):
        try:
            folder.run(train=killed)
        except KeyboardInterrupt:
            continue
        break
    assert folder.records() == whole
    assert len(folder.trained) == len(set(folder.trained)) == 7


def test_seeds_of_a_round_may_run_in_any_order(tmp_path: Path) -> None:
    whole = Folder(tmp_path / "whole").run()
    folder = Folder(tmp_path / "other")
    for number, seed in sorted(probes(SEARCH), key=lambda place: (place[0], -place[1])):
        run_probe(SEARCH, number, seed, folder.layout, folder.train)
    assert folder.records() == whole


def test_the_cap_leaves_the_last_round_to_the_seeds_that_are_due(folder: Folder) -> None:
    records = folder.run()
    assert [probe.budget is not None for probe in records.values()] == [True] * 7 + [False, False]
    assert records["round3-seed2.json"].ended == "cap"


def test_a_failed_cell_leaves_no_record_and_is_named(folder: Folder) -> None:
    """The probe ends with the trainer's code; status and tracking find the cell by the note."""
    first, second = probes(SEARCH)[:2]
    run_probe(SEARCH, *first, folder.layout, folder.train)
    assert run_probe(SEARCH, *second, folder.layout, lambda cell: Exit.OUT_OF_MEMORY) == Exit.OUT_OF_MEMORY
    assert not Path(folder.layout.probe(SEARCH.path, *second)).exists()
    note = read_note(Path(folder.layout.probe_note(SEARCH.path, *second)))
    assert note is not None
    failed = SEARCH.cell(*note)
    state = Path(folder.layout.state(failed.path))
    state.mkdir(parents=True)
    (state / "status.json").write_text('{"phase": "failed", "cause": "out of memory: 80 GB", "attempts": [{}]}')
    (status,) = search_status(GRID, folder.layout, "--cores 2")
    assert (status.phase, status.failed, status.cause) == ("failed", failed.path, "out of memory: 80 GB")
    assert status.rerun == f"snakemake {Layout().probe(SEARCH.path, *second)} --cores 2"
    assert failed.path in with_found(GRID, folder.layout).cells


def test_status_counts_rounds_and_cells(folder: Folder) -> None:
    (before,) = search_status(GRID, folder.layout, "")
    assert (before.phase, before.rounds, before.cells, before.most_cells) == ("pending", 0, 0, 7)
    for place in probes(SEARCH)[:4]:
        run_probe(SEARCH, *place, folder.layout, folder.train)
    (between,) = search_status(GRID, folder.layout, "")
    assert (between.phase, between.rounds, between.most_rounds, between.cells) == ("pending", 1, 3, 4)
    folder.run()
    (after,) = search_status(GRID, folder.layout, "")
    assert (after.phase, after.ended, after.rounds, after.cells) == ("ended", "cap", 3, 7)


def test_cells_of_a_search_are_ordinary_cells_of_the_grid(folder: Folder) -> None:
    records = folder.run()
    cells = {probe.cell for probe in records.values() if probe.cell}
    full = with_found(GRID, folder.layout)
    assert {path for path, planned in full.cells.items() if planned.search == SEARCH.path} == cells
    assert set(full.cells) - cells == set(GRID.cells)
    one = next(iter(cells))
    found = chosen_cell(GRID, folder.layout, one)
    assert found is not None and found.cell.path == one and found.experiments == ("threshold",)
    assert chosen_cell(GRID, folder.layout, one.replace("seed", "seed9")) is None


def test_a_record_holds_only_while_its_cell_has_that_score(folder: Folder) -> None:
    """A deleted cell, a damaged one, and one with another score are made again, and nothing else is."""
    records = folder.run()
    assert broken_probes(GRID, folder.layout) == []
    (first, a), (second, b), (third, c) = list(records.items())[:3]
    assert a.cell and b.cell and c.cell and c.budget
    Path(folder.layout.result(a.cell)).unlink()
    Path(folder.layout.result(b.cell)).write_text("{")
    write_result(Path(folder.layout.result(c.cell)), result_of(SEARCH.cell(c.seed, c.budget), 99.0))
    assert [Path(path).name for path in broken_probes(GRID, folder.layout)] == [first, second, third]
    # The rule of a cell makes it, and must not meet the probe that would make it too.
    assert broken_probes(GRID, folder.layout, [folder.layout.result(a.cell)]) == []
    assert len(broken_probes(GRID, folder.layout, [folder.layout.probe(SEARCH.path, 3, 1)])) == 3
    assert len(broken_probes(GRID, folder.layout, ["cells"])) == 3
    assert len(broken_probes(GRID, folder.layout, [folder.layout.report("one")])) == 3


def test_a_deleted_cell_comes_back_with_its_number(folder: Folder) -> None:
    records = folder.run()
    probe = list(records.values())[4]
    assert probe.cell
    Path(folder.layout.result(probe.cell)).unlink()
    folder.trained.clear()
    for path in broken_probes(GRID, folder.layout):
        Path(path).unlink()
    assert folder.run() == records
    assert folder.trained == [probe.cell]


def test_the_reading_decides_which_score_counts(folder: Folder) -> None:
    """Exact match is 0 everywhere in these results, so nothing is learnt by it: such a search costs no cell."""
    (published,) = grid_of(reading="published").searches.values()
    assert published.path != SEARCH.path
    records = folder.run(published)
    assert {probe.ended for probe in records.values()} == {"not learnt"}
    assert folder.trained == []


def test_by_knowledge_no_baseline_is_below_guessing(tmp_path: Path) -> None:
    """A frozen backbone that prefers the wrong label scores 20; from there, full's 56 would seem to be learnt."""

    def score(cell: Cell) -> float:
        return {"full": 56.0, "frozen": 20.0}.get(cell.method, 50.0)

    records = Folder(tmp_path / "results", score).run()
    assert {probe.ended for probe in records.values()} == {"not learnt"}


def test_a_diverged_cell_has_no_score_and_counts(tmp_path: Path) -> None:
    def score(cell: Cell) -> float | None:
        return None if cell.budget is not None and cell.seed == 2 else points(cell)

    records = Folder(tmp_path / "results", score).run()
    assert sum(probe.cell is not None for probe in records.values()) == 7
    assert all(probe.score is None for probe in records.values() if probe.seed == 2)


def test_without_references_there_is_one_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "results", lambda cell: None)
    with pytest.raises(BadInput, match="none of its 3 reference cells has a score"):
        run_probe(SEARCH, 1, 1, folder.layout, folder.train)


def test_a_changed_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "round1-seed1.json"
    write_probe(path, Probe(search="a/b/c-0", round=1, seed=1, budget=10, cell="x", score=50.0))
    assert read_probe(path).budget == 10
    path.write_text(path.read_text().replace("50.0", "60.0"))
    with pytest.raises(BadInput, match="seal"):
        read_probe(path)
