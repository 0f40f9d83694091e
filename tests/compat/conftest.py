"""A folder of results that an earlier version wrote, completed with the weights of the shipped ladders."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from petscale.tasks import TASKS

STUDIES = ("old-t5", "old-bert")


@dataclass(frozen=True)
class Old:
    """A working directory of the earlier version.

    Attributes:
        folder: holds the study files and `results/`.
    """

    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def cell(self, name: str) -> Path:
        """Folder of a cell."""
        return self.results / "cells" / name

    def backbone(self, cell: str) -> Path:
        """Folder of a cell's backbone."""
        (folder,) = self.results.glob(f"backbones/{cell.split('/')[0]}-mini-v*")
        return folder

    def tokens(self, task: str, family: str, labels: str = "words") -> Path:
        """Folder of a task's tokens."""
        (folder,) = self.results.glob(f"tokens/mini-{family}/{task}-????????-{labels}")
        return folder


def complete(root: Path, target: Path) -> Old:
    """Copy the committed files and put the weights of the shipped ladders beside the manifests of backbones."""
    shutil.copytree(root / "tests" / "compat" / "166f865", target)
    for manifest in target.glob("results/backbones/*/backbone.json"):
        shipped = root / "ladders" / manifest.parent.name.split("-mini-v")[0]
        for file in shipped.iterdir():
            if not (manifest.parent / file.name).exists():  # the record of the training has another loss now
                shutil.copyfile(file, manifest.parent / file.name)
    return Old(target)


@pytest.fixture(scope="session")
def old(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Old:
    """The files, for tests that only read."""
    return complete(root, tmp_path_factory.mktemp("compat") / "166f865")


@pytest.fixture
def old_copy(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Old:
    """A copy as the working directory, for commands that write."""
    made = complete(root, tmp_path / "166f865")
    monkeypatch.chdir(made.folder)
    return made


@pytest.fixture(autouse=True)
def versions_of_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old studies are of version 2 of the mini tasks. Later versions have other rows, so their cells are others."""
    for task in TASKS.values():
        if task.source == "mini":
            monkeypatch.setitem(task.__dict__, "version", 2)  # the entries are frozen
