"""Bad input to the workflow gives one line and a non-zero exit code, and nothing is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from workflow.project import Workflow


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"sedes": [1]}, "study.yaml: key sedes"),
        ({"tasks": ["mini-sentimnt"]}, "mini-sentimnt"),
        ({"experiments": {"methods": {"methods": ["lorra"]}}}, "lorra"),
        ({"data": {"source": "local", "folder": "/no/such/folder", "name": "x"}, "tasks": ["sst2"]}, "/no/such/folder"),
    ],
)
def test_bad_study_stops_the_workflow_with_one_line(
    root: Path, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    workflow = Workflow(root, tmp_path, root / "src")
    workflow.write(**changes)
    done = workflow.run("--cores", "1", check=False)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("petscale: ")]
    assert len(lines) == 1
    assert words in lines[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results" / "cells").exists()
