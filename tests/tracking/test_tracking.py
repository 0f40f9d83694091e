"""The store holds each cell once and completely, with its last attempt; sending it again changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from petscale.cells.lock import CellLock
from petscale.cells.spool import Spool
from petscale.cells.state import StateFolder
from petscale.study.grid import Grid
from petscale.tracking.points import Point, read_points
from petscale.tracking.rounds import Tracker
from petscale.tracking.store import Store
from petscale.tracking.trace import subject
from petscale.tracking.verify import verify_cell

Open = Callable[[], Store]


def tracker(results: Any, *cells: str) -> Tracker:
    return Tracker(results.grid, results.root, cells or results.cells)


def snapshot(store: Store, results: Any) -> dict[str, Any]:
    """All that the store holds about the cells, deleted runs left out."""
    held = {}
    for cell in results.cells:
        for run in store.runs(subject(cell)):
            held[run.info.run_id] = (
                run.info.status,
                run.data.params,
                run.data.tags,
                store.points(run.info.run_id),
                store.artifacts(run.info.run_id),
            )
    return held


def test_a_cell_arrives_whole_and_twice_changes_nothing(results: Any, open_store: Open) -> None:
    cell = results.cells[0]
    results.run(cell)
    first = tracker(results).round(open_store)
    assert (first.sent, first.unchanged, first.phases) == (1, 0, {cell: "done"})
    store = open_store()
    held = snapshot(store, results)
    ((status, params, tags, points, artifacts),) = held.values()
    folder = Path(results.layout.result(cell)).parent
    assert status == "FINISHED"
    assert read_points(folder / "metrics.jsonl") | read_points(folder / "system.jsonl") < points
    assert params["data.task"] == "mini-sentiment"
    assert params["count.trainable"] == "100"
    assert {"study.small": "1", "experiment.small.methods": "1", "task": "mini-sentiment"}.items() <= tags.items()
    assert set(artifacts) == {
        "result.json",
        "curve.csv",
        "delta.safetensors",
        "predictions.parquet",
        "metrics.jsonl",
        "system.jsonl",
        "logs/attempt-1.log",
    }
    assert tracker(results).round(open_store).unchanged == 1
    Path(results.layout.tracked(cell)).unlink()  # even with its receipt lost
    assert tracker(results).round(open_store).sent == 1
    assert snapshot(store, results) == held


def test_every_phase_is_there_as_what_it_is(results: Any, open_store: Open) -> None:
    for cell, phase in zip(results.cells, ("done", "diverged", "failed", "interrupted"), strict=True):
        results.run(cell, phase)
    tracker(results).round(open_store)
    store = open_store()
    found = {}
    for cell in results.cells:
        (run,) = store.runs(subject(cell))
        assert verify_cell(store, results.grid.cells[cell], "small", results.root) == []
        found[run.data.tags["status"]] = (run.info.status, run.data.tags.get("cause"))
    assert found == {
        "done": ("FINISHED", None),
        "diverged": ("FINISHED", "the training loss is nan at step 3"),
        "failed": ("FAILED", "the cause of failed"),
        "interrupted": ("KILLED", "the cause of interrupted"),
    }


def test_a_rerun_supersedes_and_a_killed_one_is_failed(results: Any, open_store: Open) -> None:
    cell = results.cells[0]
    results.run(cell, "running")  # no lock: killed
    tracker(results).round(open_store)
    store = open_store()
    (first,) = store.runs(subject(cell))
    assert first.info.status == "FAILED"
    assert "killed" in first.data.tags["cause"]
    results.run(cell, loss=2.0)
    tracker(results).round(open_store)
    (second,) = store.runs(subject(cell))
    assert second.info.run_id != first.info.run_id
    assert second.info.status == "FINISHED"
    assert "cause" not in second.data.tags
    assert verify_cell(store, results.grid.cells[cell], "small", results.root) == []


def test_a_running_cell_is_live_and_its_cut_tail_leaves_no_trace(results: Any, open_store: Open) -> None:
    """Guards against points that a live round sent and a resumed trainer then took back."""
    cell = results.cells[0]
    state = Path(results.layout.state(cell))
    follow = tracker(results, cell)
    with CellLock(state):
        told = StateFolder(state)
        told.begin()
        spool = Spool(state / "metrics.jsonl")
        spool.write(1, {"train/loss": 1.0})
        kept = spool.sync()
        spool.write(2, {"train/loss": 0.9})
        spool.sync()
        assert follow.round(open_store).phases == {cell: "running"}
        store = open_store()
        (run,) = store.runs(subject(cell))
        assert (run.info.status, len(store.points(run.info.run_id))) == ("RUNNING", 2)
        spool.close()
        spool = Spool(state / "metrics.jsonl", resume_at=kept)  # same attempt on purpose: the hardest case
        spool.write(2, {"train/loss": 0.8})
        spool.close()
        follow.round(open_store)
        (run,) = store.runs(subject(cell))
        assert {(p.step, p.value) for p in store.points(run.info.run_id)} == {(1, "1.0"), (2, "0.8")}


def test_studies_share_a_cell_and_keep_their_claims(results: Any, open_store: Open) -> None:
    cell = results.cells[0]
    results.run(cell)
    tracker(results).round(open_store)
    renamed = results.grid.study.model_copy(update={"name": "other"})
    other = Grid(renamed, results.grid.backbones, results.grid.cells, results.grid.transfers)
    assert Tracker(other, results.root, results.cells).round(open_store).sent == 1
    tags = open_store().runs(subject(cell))[0].data.tags
    assert {"study.small", "study.other", "experiment.small.methods", "experiment.other.methods"} <= set(tags)
    assert tracker(results).round(open_store).unchanged == 1


def test_a_store_made_anew_gets_everything_again(results: Any, open_store: Open, empty_database: Path) -> None:
    results.run(results.cells[0])
    tracker(results).round(open_store)
    Path(results.root, "tracking", "mlflow.db").write_bytes(empty_database.read_bytes())
    assert tracker(results).round(open_store).sent == 1


def test_damage_is_named_and_the_others_go_on(results: Any, open_store: Open) -> None:
    broken, whole = results.cells[:2]
    results.run(broken)
    results.run(whole)
    record = Path(results.layout.result(broken))
    record.write_text(record.read_text().replace("0.75", "0.85"))
    done = tracker(results).round(open_store)
    assert done.phases == {whole: "done"}
    assert len(done.damaged) == 1
    assert "result.json: key seal" in done.damaged[0]


def test_published_files_are_linked_and_links_survive_a_rerun(results: Any, open_store: Open) -> None:
    """Guards the disk: deltas of thousands of cells must not lie there twice, nor change under an old run."""
    cell = results.cells[0]
    results.run(cell)
    tracker(results).round(open_store)
    delta = Path(results.layout.result(cell)).parent / "delta.safetensors"
    assert delta.stat().st_nlink == 2
    (stored,) = Path(results.root, "tracking", "artifacts").rglob("delta.safetensors")
    results.run(cell)
    assert (delta.stat().st_nlink, stored.read_bytes()) == (1, b"delta" * 100)


def test_predictions_of_every_test_set_arrive(results: Any, open_store: Open) -> None:
    """Guards against a fixed list of names: MNLI leaves two files of predictions."""
    cell = results.cells[0]
    results.run(cell)
    (Path(results.layout.result(cell)).parent / "predictions-mismatched.parquet").write_bytes(b"more rows")
    tracker(results).round(open_store)
    store = open_store()
    (run,) = store.runs(subject(cell))
    assert {"predictions.parquet", "predictions-mismatched.parquet"} <= set(store.artifacts(run.info.run_id))


def test_the_study_has_one_run_with_its_report(results: Any, open_store: Open) -> None:
    from petscale.tracking.study_run import study_subject

    results.run(results.cells[0])
    report = Path(results.root, "small", "report.html")
    report.parent.mkdir()
    for text in ("<html>one</html>", "<html>another</html>"):
        report.write_text(text)
        tracker(results).round(open_store)
        tracker(results).round(open_store)
        store = open_store()
        (run,) = store.runs(study_subject("small"))
        assert store.artifacts(run.info.run_id)["report.html"] == len(text)
        assert {p.key: p.number for p in store.points(run.info.run_id)} == {"cells/done": 1.0}


@pytest.mark.parametrize("harm", ["metric", "tag", "artifact", "content", "run"])
def test_verify_names_what_differs(results: Any, open_store: Open, harm: str) -> None:
    cell = results.cells[0]
    results.run(cell)
    tracker(results).round(open_store)
    store = open_store()
    (run,) = store.runs(subject(cell))
    if harm == "metric":
        store.log(run.info.run_id, {Point.of("odd/new", 1, 1, 1.0)}, {}, {})
        expected = "odd/new: 0 in the spool, 0 missing and 1 too many"
    elif harm == "tag":
        store.delete_tag(run.info.run_id, "ladder")
        expected = "tag ladder: 'mini-t5' in the files, 'nothing' in the store"
    elif harm == "content":
        (stored,) = Path(results.root, "tracking", "artifacts").rglob("curve.csv")
        text = stored.read_text()
        os.unlink(stored)  # the file of the cell is another link to the same content
        stored.write_text(text.replace("0.7", "0.8"))
        expected = "artifact curve.csv: another content in the store"
    elif harm == "artifact":
        (stored,) = Path(results.root, "tracking", "artifacts").rglob("curve.csv")
        os.unlink(stored)
        expected = "artifact curve.csv"
    else:
        store.delete(run.info.run_id)
        expected = "0 active runs"
    wrong = verify_cell(store, results.grid.cells[cell], "small", results.root)
    assert wrong is not None
    assert any(expected in line for line in wrong), wrong
