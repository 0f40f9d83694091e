"""Whatever changes a cell's numbers reruns that cell, and nothing else reruns any cell."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from workflow.project import Workflow

RECIPE = {"steps": 4, "evaluate_every": 2, "learning_rate": 1e-3, "learning_rate_by_task": {}}
AFTER = {"collect": 1, "analyse": 1, "report": 1, "track": 1}


@pytest.fixture
def workflow(finished: Workflow, tmp_path: Path) -> Workflow:
    """A copy of the finished study, times included, that a test may change."""
    copy = tmp_path / "copy"
    shutil.copytree(finished.folder, copy, symlinks=True)
    return Workflow(finished.root, copy, finished.package)


def test_again_there_is_nothing_to_do(workflow: Workflow) -> None:
    assert workflow.planned() == {}


def test_touching_everything_reruns_nothing(workflow: Workflow) -> None:
    for path in workflow.folder.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts and path.name != "report.html":
            os.utime(path)
    # Outputs of the report keep their order; all that is compared is content.
    planned = workflow.planned()
    assert "train" not in planned
    assert "prepare" not in planned


def test_other_text_of_the_study_file_reruns_no_cell(workflow: Workflow) -> None:
    """A comment, a description, the machine that estimates are for, the number of devices that a cell takes."""
    path = workflow.write()
    path.write_text("# a comment\n" + path.read_text())
    assert workflow.planned() == {}
    assert "train" not in workflow.planned(hardware={"gpus": False, "tflops": 1.0})
    spread = {"gpus": False, "memory_gb": 0.001, "max_devices": 4, "micro_batch": 2}
    assert "train" not in workflow.planned(hardware=spread)


def test_one_recipe_value_reruns_what_it_concerns(workflow: Workflow) -> None:
    recipe: dict[str, Any] = {**RECIPE, "learning_rate_by_method": {"full": 5e-4}}
    assert workflow.planned(recipe=recipe) == {"train": 1, **AFTER}


def test_a_seed_adds_its_cells(workflow: Workflow) -> None:
    assert workflow.planned(seeds=[1, 2]) == {"train": 2, **AFTER}


def test_a_method_adds_its_cells(workflow: Workflow) -> None:
    methods = {"methods": {"methods": ["full", "lora", "bitfit"]}}
    assert workflow.planned(experiments=methods) == {"train": 1, **AFTER}


def edited_package(workflow: Workflow, tmp_path: Path) -> Path:
    package = tmp_path / "src"
    shutil.copytree(workflow.package, package, ignore=shutil.ignore_patterns("__pycache__"))
    return package


def test_editing_code_without_a_version_reruns_nothing(workflow: Workflow, tmp_path: Path) -> None:
    """The version is bumped by hand; `petscale stages --check` guards against forgetting it."""
    package = edited_package(workflow, tmp_path)
    for source in package.rglob("*.py"):
        source.write_text(source.read_text() + "\n# an edit\n")
    assert Workflow(workflow.root, workflow.folder, package).planned() == {}


@pytest.mark.parametrize(
    "stage, expected",
    [("train", {"train": 2, **AFTER}), ("prepare", {"prepare": 1}), ("backbone", {"backbone": 1})],
)
def test_bumping_a_stage_reruns_that_stage(
    workflow: Workflow, tmp_path: Path, stage: str, expected: dict[str, int]
) -> None:
    package = edited_package(workflow, tmp_path)
    path = package / "petscale" / "study" / "stages.json"
    document = json.loads(path.read_text())
    document["stages"][stage]["version"] += 1
    path.write_text(json.dumps(document))
    planned = Workflow(workflow.root, workflow.folder, package).planned()
    assert expected.items() <= planned.items()


def test_another_interval_remakes_tables_and_page_and_no_cell(workflow: Workflow, tmp_path: Path) -> None:
    """What is made in seconds from finished cells needs no version: its code is a parameter of its rule."""
    package = edited_package(workflow, tmp_path)
    formulas = package / "petscale" / "analysis" / "interval.py"
    formulas.write_text(formulas.read_text() + "\n\nFACTOR = 2.0\n")
    planned = Workflow(workflow.root, workflow.folder, package).planned()
    assert planned == {"analyse": 1, "report": 1, "track": 1}


def test_a_deleted_result_is_rerun_alone_by_the_command_of_status(workflow: Workflow) -> None:
    cells = sorted((workflow.folder / "results" / "cells").rglob("result.json"))
    before = json.loads(cells[0].read_text())
    others = {path: path.stat().st_mtime_ns for path in cells[1:]}
    cells[0].unlink()
    assert workflow.planned() == {"train": 1, **AFTER}  # the report is there, but the study is asked for with its cells
    status = json.loads(workflow.petscale("status", "study.yaml", "--json").stdout)
    pending = [cell for cell in status["cells"] if cell["phase"] == "pending"]
    assert [cell["cell"] for cell in pending] == [before["cell"]]
    words = pending[0]["rerun"].split()
    assert words[0] == "snakemake"
    workflow.run(words[1], "--cores", "2")
    again = json.loads(cells[0].read_text())
    assert (again["test"], again["dev"], again["counts"]) == (before["test"], before["dev"], before["counts"])
    assert {path: path.stat().st_mtime_ns for path in cells[1:]} == others


def test_a_failing_cell_fails_alone(workflow: Workflow) -> None:
    """A folder blocks the path of one cell's delta, so it cannot be published. The other is, and the status says so."""
    workflow.write(seeds=[1, 2])
    plan = json.loads(workflow.petscale("plan", "study.yaml", "--json").stdout)
    broken, fine = (c["cell"] for c in plan["cells"] if c["seed"] == 2)
    obstacle = workflow.folder / "results" / "cells" / broken / "delta.safetensors"
    obstacle.mkdir(parents=True)
    done = workflow.run("--cores", "2", "--keep-going", check=False)
    assert done.returncode != 0
    assert (workflow.folder / "results" / "cells" / fine / "result.json").exists()
    status = json.loads(workflow.petscale("status", "study.yaml", "--json").stdout)
    failed = [cell for cell in status["cells"] if cell["phase"] == "failed"]
    assert [cell["cell"] for cell in failed] == [broken]
    assert "delta.safetensors" in failed[0]["cause"]
    obstacle.rmdir()
    workflow.run(failed[0]["rerun"].split()[1], "--cores", "2")
    assert workflow.planned() == AFTER
