"""`petscale status` reports causes, stale cells and rerun commands; tests/cells/test_phase.py guards the phases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from petscale.artefacts.layout import Layout
from petscale.artefacts.names import slug
from petscale.artefacts.seal import sealed
from petscale.cli.main import main
from petscale.errors import STOPPED_BY_HAND
from petscale.workspace.grid import open_grid
from petscale.workspace.status import (
    CellStatus,
    ToldOfRows,
    failure_lines,
    input_failures,
    study_status,
    told_of_rows,
)
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
MESSAGE = "rows/train.jsonl: row 3: not valid JSON"


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


def test_a_cell_waits_for_an_input_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its cause stood in a log alone, and the status said `pending` without a word."""
    monkeypatch.chdir(tmp_path)
    (data,) = {planned.cell.data.path for planned in GRID.cells.values()}
    manifest = LAYOUT.data(data)
    leave(tmp_path, LAYOUT.log("prepare", data), "petscale: rows/train.jsonl: row 3: not valid JSON\n\n")
    status = status_of(tmp_path)
    assert (status.phase, status.cause) == ("pending", f"{manifest} could not be made: {MESSAGE}")
    (failure,) = input_failures(GRID, tmp_path, "--cores 2")
    assert (failure.manifest, failure.cause) == (manifest, MESSAGE)
    assert failure.rerun == f"snakemake {manifest} --cores 2"
    assert failure_lines(GRID, "--cores 2") == [f"{manifest}: {MESSAGE}"]
    for words in ("ValueError: too many", "snakemake.exceptions.WorkflowError: x", "KeyboardInterrupt"):
        leave(tmp_path, LAYOUT.log("prepare", data), f"Traceback (most recent call last):\n{words}\n")
        assert len(input_failures(GRID, tmp_path, "")) == 1
    leave(tmp_path, LAYOUT.log("prepare", data), "Writing model shards: 100%|##| 1/1\npetscale: note: a warning\n")
    assert input_failures(GRID, tmp_path, "--cores 2") == []  # it runs
    leave(tmp_path, LAYOUT.log("prepare", data), f"petscale: {MESSAGE}\n")
    leave(tmp_path, manifest, "{}")  # made since: what the log says is over
    assert input_failures(GRID, tmp_path, "--cores 2") == []
    assert status_of(tmp_path).cause is None


def test_what_is_told_of_rows_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once for rows and tokens together, from sealed manifests alone; a damaged one tells nothing."""
    (planned,) = GRID.cells.values()
    rows = LAYOUT.data(planned.cell.data.path)
    tokens = LAYOUT.tokens(slug(planned.backbone.tokenizer), planned.cell.tokens)
    of_rows = {"train": {"rows of one input with different labels": 2}}
    leave(tmp_path, rows, json.dumps(sealed({"told": of_rows})))
    leave(tmp_path, tokens, json.dumps(sealed({"told": {**of_rows, "test": {"special token in a text": 1}}})))
    assert told_of_rows(GRID, tmp_path) == [
        ToldOfRows(rows, "train", "rows of one input with different labels", 2),
        ToldOfRows(tokens, "test", "special token in a text", 1),
    ]
    other = tmp_path / "damaged"
    leave(other, rows, json.dumps({**sealed({"told": of_rows}), "told": {"train": {"nothing": 1}}}))
    assert told_of_rows(GRID, other) == []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text(json.dumps(GRID.study.model_dump(mode="json", exclude_defaults=True)))
    assert main(["status", "one.yaml"]) == 0
    assert f"rows         {rows}  train: 2 x rows of one input with different labels" in capsys.readouterr().out


def test_pending_cells_are_listed_with_their_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As failed ones are; of thousands only the first, and the command that makes all."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").touch()
    study = {**GRID.study.model_dump(mode="json", exclude_unset=True), "seeds": list(range(30))}
    Path("many.yaml").write_text(json.dumps(study))
    assert main(["status", "many.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.strip().startswith("rerun: snakemake results/cells/")]) == 10
    assert lines[-2] == (
        "pending      20 more (`petscale status --all` lists them); all: snakemake --cores 2 --configfile many.yaml"
    )
    assert lines[-1] == "30 cells: 30 pending"


@pytest.mark.parametrize("words", ["KeyboardInterrupt", f"petscale: {STOPPED_BY_HAND}"])
def test_ctrl_c_before_the_cell_began(tmp_path: Path, words: str) -> None:
    leave(tmp_path, LAYOUT.log("train", CELL), f"Traceback (most recent call last):\n{words}\n")
    status = status_of(tmp_path)
    assert (status.phase, status.cause) == ("interrupted", STOPPED_BY_HAND)


def test_a_trainer_that_left_no_word_was_killed(tmp_path: Path) -> None:
    state = {"phase": "running", "step": 7, "steps": 9, "attempts": [{}]}
    leave(tmp_path, f"{LAYOUT.state(CELL)}/status.json", json.dumps(state))
    status = status_of(tmp_path)
    assert (status.phase, status.step, status.attempts) == ("failed", None, 1)
    assert "killed" in str(status.cause)
