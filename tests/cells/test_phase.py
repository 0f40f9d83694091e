"""The phase of a cell: `petscale status` and tracking give the same right answer in a table of situations."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from petscale.artefacts.layout import Layout
from petscale.cells.lock import CellLock
from petscale.cells.phase import cell_outcome
from petscale.cells.record import CellResult, Convergence, Counts, Throughput, write_result
from petscale.cells.state import StateFolder
from petscale.errors import BadInput
from petscale.study.grid import Grid
from petscale.tracking.glance import glance
from petscale.workspace.grid import open_grid
from petscale.workspace.status import study_status
from petscale.workspace.study_file import parse_study

GRID: Grid = open_grid(
    parse_study(
        {
            "name": "one",
            "ladders": [{"name": "T5", "backbones": ["mini-t5-small"]}],
            "tasks": ["mini-sentiment"],
            "seeds": [1],
            "experiments": {"methods": {"methods": ["lora"]}},
        },
        "one.yaml",
    )
)
(CELL,) = GRID.cells


class Files:
    """Leaves the files of a cell as a trainer, a job or an accident would."""

    def __init__(self, working: Path) -> None:
        self.layout = Layout(str(working / "results"))
        self.state = Path(self.layout.state(CELL))
        self.record = Path(self.layout.result(CELL))
        self.log = Path(self.layout.log("train", CELL))

    def attempt(self, outcome: str | None = None, cause: str | None = None) -> None:
        """An attempt that began and, unless `outcome` is None, said how it ended."""
        state = StateFolder(self.state)
        state.begin()
        if outcome is not None:
            state.end(outcome, cause)  # type: ignore[arg-type]

    def ended(self, status: str = "done", cause: str | None = None) -> None:
        """An attempt that ended and published its record."""
        self.attempt(status, cause)
        self.record.parent.mkdir(parents=True, exist_ok=True)
        write_result(
            self.record,
            CellResult(
                cell=CELL,
                digest=GRID.cells[CELL].cell.digest,
                status=status,  # type: ignore[arg-type]
                cause=cause,
                spec={},
                counts=Counts(trainable=1, effective=1, head=0, stored=1, changed=1, total=2),
                metric="accuracy",
                dev={},
                test={},
                convergence=Convergence(best_step=1, best_dev=0.5, steps=1),
                throughput=Throughput(
                    train_tokens_per_s=1,
                    inference_tokens_per_s=1,
                    startup_s=1,
                    train_s=1,
                    evaluate_s=1,
                    wall_s=1,
                ),
                peak_memory=1,
                hashes={},
                provenance={},
            ),
        )

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def hold(self, *, alive: bool) -> None:
        """A lock, of this process or of one that is gone."""
        lock = CellLock(self.state)
        lock.path.parent.mkdir(parents=True, exist_ok=True)
        lock._write()
        if not alive:
            holder = json.loads(lock.path.read_text())
            lock.path.write_text(json.dumps({**holder, "started": "another boot:1"}))


def no_files(files: Files) -> None:
    pass


def only_a_log(files: Files) -> None:
    files.write(files.log, "starting\npetscale: containers/petscale.sif: no such image\n\n")


def an_empty_log(files: Files) -> None:
    """A job opens its log before it says anything."""
    files.write(files.log, "\n \n")


def a_lock_before_the_state(files: Files) -> None:
    """The log of an earlier try says nothing of a cell that is about to begin."""
    only_a_log(files)
    files.hold(alive=False)


def a_live_trainer(files: Files) -> None:
    files.attempt()
    files.hold(alive=True)


def a_live_trainer_after_a_failure(files: Files) -> None:
    files.attempt("failed", "out of memory: first try")
    files.hold(alive=True)


def killed(files: Files) -> None:
    files.attempt()
    files.hold(alive=False)


def killed_without_a_lock(files: Files) -> None:
    files.attempt()


def failed(files: Files) -> None:
    files.attempt("failed", "out of memory: 3 GiB")


def failed_twice(files: Files) -> None:
    files.attempt("failed", "the first cause")
    files.attempt("failed", "the second cause")


def interrupted(files: Files) -> None:
    files.attempt("interrupted", "SIGTERM at step 7")


def done(files: Files) -> None:
    files.ended()


def diverged(files: Files) -> None:
    files.ended("diverged", "the training loss is nan at step 3")


def done_after_a_failure(files: Files) -> None:
    files.attempt("failed", "out of memory")
    files.ended()


def record_without_state(files: Files) -> None:
    """State folders may be cleaned when a study has ended."""
    files.ended()
    (files.state / "status.json").unlink()


def record_removed(files: Files) -> None:
    """Neither failed nor killed: the cell had ended, and has to run again."""
    files.ended()
    files.record.unlink()


def record_of_a_diverged_cell_removed(files: Files) -> None:
    files.ended("diverged", "the training loss is nan at step 3")
    files.record.unlink()


def damaged_record(files: Files) -> None:
    files.ended()
    files.record.write_text("{")


# situation -> phase, a part of the cause (None: there is no cause), and what tracking makes of it: the same phase,
# nothing to track yet (None), or one line about the damage.
TABLE: dict[Callable[[Files], None], tuple[str, str | None, str | None]] = {
    no_files: ("pending", None, None),
    only_a_log: ("failed", "petscale: containers/petscale.sif: no such image", None),
    an_empty_log: ("pending", None, None),
    a_lock_before_the_state: ("pending", None, None),
    a_live_trainer: ("running", None, "running"),
    a_live_trainer_after_a_failure: ("running", None, "running"),
    killed: ("failed", "killed: the trainer ended without writing a cause", "failed"),
    killed_without_a_lock: ("failed", "killed: the trainer ended without writing a cause", "failed"),
    failed: ("failed", "out of memory: 3 GiB", "failed"),
    failed_twice: ("failed", "the second cause", "failed"),
    interrupted: ("interrupted", "SIGTERM at step 7", "interrupted"),
    done: ("done", None, "done"),
    diverged: ("diverged", "the training loss is nan at step 3", "diverged"),
    done_after_a_failure: ("done", None, "done"),
    record_without_state: ("done", None, "done"),
    record_removed: ("pending", "its record (result.json) is gone; run the cell again", None),
    record_of_a_diverged_cell_removed: ("pending", "its record (result.json) is gone; run the cell again", None),
    damaged_record: ("failed", "result.json: not a readable result record", "damaged"),
}


@pytest.mark.parametrize("situation", TABLE, ids=lambda situation: situation.__name__)
def test_status_and_tracking_give_one_answer(situation: Callable[[Files], None], tmp_path: Path) -> None:
    """A cell whose record was removed was once `pending` in the status and `failed, killed` in tracking."""
    files = Files(tmp_path)
    situation(files)
    phase, cause, tracked = TABLE[situation]
    found = cell_outcome(files.layout, CELL)
    (status,) = study_status(GRID, tmp_path, "--cores 2")
    for answer in (found, status):
        assert answer.phase == phase
        assert answer.cause is None if cause is None else cause in str(answer.cause)
    if tracked == "damaged":
        with pytest.raises(BadInput, match=r"result\.json"):
            glance(CELL, files.layout.root)
        return
    seen = glance(CELL, files.layout.root)
    assert (seen.phase if seen else None) == tracked
    assert seen is None or seen.cause == found.cause


def test_a_lock_of_another_host_counts_while_its_heartbeat_is_fresh(tmp_path: Path) -> None:
    """Process ids say nothing about another machine's trainers."""
    files = Files(tmp_path)
    files.attempt()
    lock = files.state / "lock"
    lock.write_text(json.dumps({"host": "another", "pid": 1, "started": "boot:1", "token": "x"}))
    assert cell_outcome(files.layout, CELL).phase == "running"
    os.utime(lock, (1, 1))
    assert cell_outcome(files.layout, CELL).phase == "failed"


def test_a_record_that_is_removed_while_it_is_read_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snakemake removes the record of a cell that it is about to run again."""
    files = Files(tmp_path)
    files.ended()
    exists = Path.exists

    def removed_after(path: Path, **options: bool) -> bool:
        found = exists(path, **options)
        if path == files.record and found:
            path.unlink()
        return found

    monkeypatch.setattr(Path, "exists", removed_after)
    assert cell_outcome(files.layout, CELL).phase == "pending"
