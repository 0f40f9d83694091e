"""What became of cells, from the files they leave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from petscale.artefacts.layout import Layout
from petscale.workspace.rungs import open_grid
from petscale.workspace.status import CellStatus, study_status
from petscale.workspace.study_file import parse_study

LAYOUT = Layout()
GRID = open_grid(
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


def told(root: Path) -> CellStatus:
    (status,) = study_status(GRID, root, "--cores 2")
    return status


def leave(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_a_cell_without_files_is_pending(tmp_path: Path) -> None:
    status = told(tmp_path)
    assert (status.phase, status.cause, status.attempts) == ("pending", None, 0)
    assert status.rerun == f"snakemake {LAYOUT.result(CELL)} --cores 2"


def test_a_job_that_failed_before_its_cell_began_is_told_by_its_log(tmp_path: Path) -> None:
    """No state was written: an image without its lock, or a fence, would otherwise look like a cell never tried."""
    leave(tmp_path, LAYOUT.log("train", CELL), "starting\npetscale: containers/petscale.sif: no such image\n\n")
    status = told(tmp_path)
    assert (status.phase, status.cause) == ("failed", "petscale: containers/petscale.sif: no such image")


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_log_is_no_failure(tmp_path: Path, text: str) -> None:
    """A job opens its log before it says anything."""
    leave(tmp_path, LAYOUT.log("train", CELL), text)
    assert told(tmp_path).phase == "pending"


def test_a_trainer_that_left_no_word_was_killed(tmp_path: Path) -> None:
    state = {"phase": "running", "step": 7, "steps": 9, "attempts": [{}]}
    leave(tmp_path, f"{LAYOUT.state(CELL)}/status.json", json.dumps(state))
    status = told(tmp_path)
    assert (status.phase, status.step, status.attempts) == ("failed", None, 1)
    assert "killed" in str(status.cause)


def test_a_damaged_record_is_a_failure_that_names_the_file(tmp_path: Path) -> None:
    leave(tmp_path, LAYOUT.result(CELL), "{")
    status = told(tmp_path)
    assert status.phase == "failed"
    assert "result.json" in str(status.cause)
