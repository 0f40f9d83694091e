"""Fixtures of the workflow tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from workflow.project import Workflow


@pytest.fixture(scope="session")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The tiny study, run once. Tests that change its files copy it first."""
    workflow = Workflow(root, tmp_path_factory.mktemp("finished"), root / "src")
    workflow.write()
    workflow.run("--cores", "2")
    return workflow
