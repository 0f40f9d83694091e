"""The key `data.flaws` of a study has its effect on the prepared rows and on the identity of cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from petscale.cli.main import main
from petscale.errors import BadInput
from petscale.study.cell import Cell
from petscale.workspace.dag import Dag

from .conftest import Write, reviews


def _dag(where: Path, root: Path, **data: Any) -> Dag:
    study = {
        "name": "flaws",
        "ladders": [{"name": "mini-t5", "backbones": ["mini-t5-small"]}],
        "tasks": ["sst2"],
        "data": {"source": "local", "folder": str(where), "name": "made-up", "dev_size": 2, **data},
        "seeds": [1],
        "experiments": {"methods": {"methods": ["full"]}},
    }
    return Dag.from_config(study, "flaws.yaml", root)


@pytest.fixture
def folder(local: Write) -> Path:
    """An sst2 export whose train holds an empty text and a test input."""
    rows = [*reviews(6), {"sentence": " ", "label": 1}]
    return local("sst2", train=rows, validation=[*reviews(1), *reviews(2, first=9)]).folder


def test_a_study_can_drop_flaws_of_local_rows(
    folder: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """This makes complete published data sets usable as local files; refusing stays the default."""
    for flaws, code in (("refuse", 2), ("drop", 0)):
        dag = _dag(folder, root, flaws=flaws)
        (data,) = dag.data
        out = tmp_path / flaws / "data.json"
        assert main(["prepare", "--spec", dag.data_spec(data), "--out", str(out)]) == code
    assert "train.jsonl: row 7: column 'sentence' is empty" in capsys.readouterr().err
    manifest = json.loads(out.read_bytes())
    assert manifest["dropped"]["train"] == {"empty text": 1, "input in an evaluation split": 1}
    assert manifest["source"]["flaws"] == "drop"


def test_the_key_is_part_of_the_identity_only_where_it_is_not_the_default(folder: Path, root: Path) -> None:
    """Older cells keep their identity, and cells on other rows have a different one."""
    silent, refusing, dropping = (_dag(folder, root, **key) for key in ({}, {"flaws": "refuse"}, {"flaws": "drop"}))
    assert list(silent.data) == list(refusing.data) != list(dropping.data)
    assert silent.results == refusing.results != dropping.results
    (spec,) = {planned.cell.path: planned.cell.spec() for planned in silent.grid.cells.values()}.values()
    assert "flaws" not in spec["data"]
    (cell,) = (planned.cell for planned in dropping.grid.cells.values())
    assert cell.spec()["data"]["flaws"] == "drop"
    assert Cell.from_spec(cell.spec()) == cell


def test_the_key_is_for_local_rows(folder: Path, root: Path) -> None:
    """The hub drops flaws in any case, and a key without effect would mislead."""
    with pytest.raises(BadInput, match="`flaws` is for source local, not mini"):
        _dag(folder, root, source="mini", folder=None, name=None, flaws="drop")
