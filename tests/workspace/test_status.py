"""`petscale status` reports causes, stale cells and rerun commands; tests/cells/test_phase.py guards the phases."""

from __future__ import annotations

import json
from pathlib import Path

from petscale.artefacts.layout import Layout
from petscale.workspace.grid import open_grid
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


def status_of(root: Path) -> CellStatus:
    (status,) = study_status(GRID, root, "--cores 2")
    return status


def leave(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_a_cell_without_files_is_pending(tmp_path: Path) -> None:
    status = status_of(tmp_path)
    assert (status.phase, status.cause, status.attempts) == ("pending", None, 0)
    assert status.rerun == f"snakemake {LAYOUT.result(CELL)} --cores 2"


def test_a_trainer_that_left_no_word_was_killed(tmp_path: Path) -> None:
    state = {"phase": "running", "step": 7, "steps": 9, "attempts": [{}]}
    leave(tmp_path, f"{LAYOUT.state(CELL)}/status.json", json.dumps(state))
    status = status_of(tmp_path)
    assert (status.phase, status.step, status.attempts) == ("failed", None, 1)
    assert "killed" in str(status.cause)
