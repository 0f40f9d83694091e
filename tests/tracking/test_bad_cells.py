"""One bad cell does not stop the others: they are tracked, the bad one is named, and `--follow` ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from petscale.cli.main import main
from petscale.errors import Exit
from petscale.tracking import rounds
from petscale.tracking.points import Point
from petscale.tracking.rounds import Tracker
from petscale.tracking.store import Store, StoreUnavailable
from petscale.tracking.trace import subject

Open = Callable[[], Store]
STATUS_HARMS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no number": (lambda told: told["attempts"][0].pop("attempt"), "key attempts.0.attempt: None"),
    "no start": (lambda told: told["attempts"][0].pop("started"), "key attempts.0.started: None"),
    "a start that is no text": (lambda told: told["attempts"][0].update(started=5), "key attempts.0.started: 5"),
    "an end that is no time": (lambda told: told["attempts"][0].update(ended="soon"), "key attempts.0.ended: 'soon'"),
    "no attempt at all": (lambda told: told["attempts"].__setitem__(0, "x"), "key attempts.0: not an attempt"),
    "no phase": (lambda told: told.pop("phase"), "key phase: None"),
    "a cause that is no text": (lambda told: told.update(cause=[1]), "key cause: [1]"),
    "no attempts": (lambda told: told.pop("attempts"), "not a readable status"),
}


@pytest.mark.parametrize("harm", STATUS_HARMS)
@pytest.mark.parametrize("phase", ["done", "failed"])
def test_a_damaged_status_is_one_line_and_the_others_go_on(
    results: Any, open_store: Open, harm: str, phase: str
) -> None:
    """Guards against a KeyError that ended tracking of the whole study."""
    broken, whole = results.cells[:2]
    results.run(broken, phase)
    results.run(whole)
    path = Path(results.layout.state(broken), "status.json")
    told = json.loads(path.read_text())
    damage, expected = STATUS_HARMS[harm]
    damage(told)
    path.write_text(json.dumps(told))
    done = Tracker(results.grid, results.root, results.cells).round(open_store)
    assert done.phases == {whole: "done"}
    (line,) = done.damaged
    assert line.startswith(f"{broken}: {path}: ")
    assert expected in line


def spoiled(monkeypatch: pytest.MonkeyPatch, verb: str, cell: str) -> None:
    """Let the store fail at one verb for one cell only, for ever."""
    real, bad = getattr(Store, verb), set()

    def create(self: Store, where: Any, *arguments: Any, **options: Any) -> Any:
        if verb == "create" and where.value == cell:
            raise StoreUnavailable("RestException: tag too long")
        run = real_create(self, where, *arguments, **options)
        if where.value == cell:
            bad.add(run.info.run_id)
        return run

    def points(self: Store, run_id: str) -> set[Point]:
        return {Point.of("odd", 1, 1, 1.0)} if run_id in bad else real(self, run_id)

    real_create = Store.create
    monkeypatch.setattr(Store, "create", create)
    if verb == "points":
        monkeypatch.setattr(Store, "points", points)


@pytest.mark.parametrize(("verb", "expected"), [("create", "tag too long"), ("points", "read back from the store")])
def test_a_refused_cell_is_named_and_the_others_go_on(
    results: Any,
    open_store: Open,
    monkeypatch: pytest.MonkeyPatch,
    study_file: Path,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    expected: str,
) -> None:
    """Guards against a round that ends at the same cell for ever; the exit code tells that something is missing."""
    open_store()
    for cell in results.cells:
        results.run(cell)
    spoiled(monkeypatch, verb, results.cells[1])
    out = Path(results.root, "tracked.json")
    code = main(["track", str(study_file), "--results", results.root, "--out", str(out)])
    told = capsys.readouterr()
    assert code == Exit.INTERRUPTED
    (line,) = told.err.strip().splitlines()
    assert line.startswith(f"petscale: {results.cells[1]}: ")
    assert expected in line
    assert "3 sent, 0 unchanged, 1 refused" in told.out
    assert not out.exists()  # the rule's output says that all is there
    store = open_store()
    held = [len(store.runs(subject(cell))) for cell in results.cells if cell != results.cells[1]]
    assert held == [1, 1, 1]


def test_a_store_that_refuses_everything_is_given_up(
    results: Any, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards the writer's lock: thousands of cells must not each wait for the same refusal."""
    asked = 0

    def refuse(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        raise StoreUnavailable("read-only")

    for cell in results.cells:
        results.run(cell)
    monkeypatch.setattr(rounds, "REFUSALS_IN_A_ROW", 2)
    monkeypatch.setattr(Store, "create", refuse)
    with pytest.raises(StoreUnavailable, match="refused 2 cells, one after the other: read-only"):
        Tracker(results.grid, results.root, results.cells).round(open_store)
    assert asked == 2


@pytest.mark.parametrize("bad", ["damaged", "refused"])
def test_follow_ends_and_names_what_is_bad(
    results: Any,
    open_store: Open,
    monkeypatch: pytest.MonkeyPatch,
    study_file: Path,
    capsys: pytest.CaptureFixture[str],
    bad: str,
) -> None:
    """Guards against a --follow that waits for ever, in silence, for a cell that will never be fine."""
    open_store()
    for cell in results.cells:
        results.run(cell)
    if bad == "damaged":
        Path(results.layout.result(results.cells[0])).write_text("{}")
    else:
        spoiled(monkeypatch, "create", results.cells[0])

    def too_long(seconds: float) -> None:
        raise AssertionError("--follow waits for more")

    monkeypatch.setattr(rounds.time, "sleep", too_long)
    code = main(["track", str(study_file), "--results", results.root, "--follow"])
    told = capsys.readouterr()
    assert code == (Exit.BAD_INPUT if bad == "damaged" else Exit.INTERRUPTED)
    assert f"petscale: {results.cells[0]}: " in told.err
    assert f"1 {bad}" in told.out


def test_follow_names_what_is_bad_while_others_run(
    results: Any, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged cell is told at once and once, not days later when the study has ended."""
    results.run(results.cells[0])
    Path(results.layout.result(results.cells[0])).write_text("{}")
    naps = 0

    def nap(seconds: float) -> None:
        nonlocal naps
        naps += 1
        assert naps < 5, "--follow does not end"
        if naps == 2:
            for cell in results.cells[1:]:
                results.run(cell)

    monkeypatch.setattr(rounds.time, "sleep", nap)
    lines: list[str] = []
    Tracker(results.grid, results.root, results.cells).follow(open_store, lines.append, 0.0)
    assert sum(line.startswith(f"{results.cells[0]}: ") for line in lines) == 1
