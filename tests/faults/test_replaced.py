"""Rows and weights that are replaced under a finished study rerun what depends on them, and no old score is shown.

Each way in which files are replaced is tried on each file, with the times and sizes that make it hard to notice.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from petscale.cli.main import main
from petscale.errors import BadInput
from petscale.workspace.dag import Dag
from workspace.local import LocalStudy

FILES = (
    "rows/sst2/train.jsonl",
    "rows/sst2/validation.jsonl",
    "backbone/model.safetensors",
    "backbone/config.json",
    "backbone/tokenizer.json",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return LocalStudy.finished(tmp_path_factory.mktemp("finished"))


def other(data: bytes, draw: random.Random) -> bytes:
    """The same number of bytes with one digit or letter exchanged, so that texts stay readable."""
    places = [place for place, byte in enumerate(data) if chr(byte).isalnum()]
    place = draw.choice(places)
    return (
        data[:place]
        + bytes([data[place] + 1 if chr(data[place]) not in "9zZ" else data[place] - 1])
        + data[place + 1 :]
    )


def in_place(path: Path, data: bytes) -> None:
    with open(path, "r+b") as handle:
        handle.write(data)


def in_place_with_its_time(path: Path, data: bytes) -> None:
    before = path.stat()
    in_place(path, data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_an_older_file(path: Path, data: bytes) -> None:
    new = path.with_name("new")
    new.write_bytes(data)
    os.utime(new, (1, 1))
    os.replace(new, path)


def by_a_link(path: Path, data: bytes) -> None:
    store = path.with_name(".store")
    store.mkdir()
    (store / path.name).write_bytes(data)
    path.unlink()
    path.symlink_to(store / path.name)


WAYS: tuple[Callable[[Path, bytes], None], ...] = (in_place, in_place_with_its_time, by_an_older_file, by_a_link)


def test_inputs_replaced_under_a_finished_study(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tally: Any
) -> None:
    count, draw = tally("inputs replaced under a finished study"), random.Random(5)
    for number, (name, way) in enumerate((name, way) for name in FILES for way in WAYS):
        copy = tmp_path / str(number)
        shutil.copytree(finished, copy)
        monkeypatch.chdir(copy)
        study = LocalStudy(copy)
        before = _identities(study.dag())
        path = copy / name
        try:
            way(path, other(path.read_bytes(), draw))
            noticed = _identities(study.dag()) != before
        except BadInput:  # the exchanged letter made the file unusable, which is told too
            count.add(True)
            continue
        assert main(["status", "local.yaml", "--stale", "--json"]) == 0
        (cell,) = json.loads(capsys.readouterr().out)["cells"]
        right = noticed and Path(name).name in cell["stale_cause"]
        count.add(right)
        assert right, (name, way.__name__)


def _identities(dag: Dag) -> list[str]:
    return [*map(dag.data_identity, dag.data), *map(dag.backbone_identity, dag.backbones)]
