"""Fixtures of the workflow tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from once import make_once
from workflow.project import Workflow


@pytest.fixture(scope="session")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The tiny study, run once. Tests that change its files copy it first."""

    def make(folder: Path) -> None:
        workflow = Workflow(root, folder, root / "src")
        workflow.write()
        workflow.run("--cores", "2")

    return Workflow(root, make_once(tmp_path_factory, "finished", make), root / "src")
