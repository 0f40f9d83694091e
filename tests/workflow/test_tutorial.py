"""The steps of docs/tutorial.md and of the pages on results, in its order, on the demo's plan and on the tiny study."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
import pytest

from petscale.workspace.grid import open_grid
from petscale.workspace.plan import plan_document
from petscale.workspace.study_file import load_study
from workflow.project import Workflow


def test_the_study_of_one_s_own_adds_cells_of_the_new_method_alone(root: Path, tmp_path: Path) -> None:
    """The page says that only the cells of BitFit are trained: all others must be those of the demo, by identity."""
    shutil.copytree(root / "studies", tmp_path / "studies", ignore=shutil.ignore_patterns("mine.yaml"))
    command = re.search(r"^sed .*mine\.yaml$", (root / "docs/tutorial.md").read_text(), re.M)
    assert command is not None
    subprocess.run(command.group(), shell=True, cwd=tmp_path, check=True)
    plans = [plan_document(open_grid(load_study(tmp_path / "studies" / f"{name}.yaml"))) for name in ("mini", "mine")]
    demo, own = ({cell["cell"]: cell["method"] for cell in plan["cells"]} for plan in plans)
    assert [plan["study"] for plan in plans] == ["mini", "mine"]
    assert demo.items() <= own.items()
    assert {method for cell, method in own.items() if cell not in demo} == {"bitfit"}
    assert len(own) - len(demo) == 3 * 5  # backbones x seeds


@pytest.fixture(scope="module")
def own(finished: Workflow, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The tiny study, and one more of its own name with one more method, run in the same folder."""
    folder = tmp_path_factory.mktemp("own")
    workflow = Workflow(finished.root, folder / "study", finished.package)
    shutil.copytree(finished.folder, workflow.folder, symlinks=True)
    workflow.write(name="mine", experiments={"methods": {"methods": ["full", "lora", "bitfit"]}})
    return workflow


def test_own_study_trains_the_new_cells_and_is_compared(own: Workflow) -> None:
    assert own.planned()["train"] == 1
    own.run("--cores", "2")
    said = own.petscale("compare", "results/tiny", "results/mine").stdout
    assert "a: results/tiny (tiny), b: results/mine (mine)" in said
    assert "cells: 1 differ in status" in said
    assert "not planned -> done: 1" in said
    assert "mean scores, points: 2 identical" in said  # full and LoRA are the same cells


def test_a_repeated_cell_has_the_same_delta(own: Workflow) -> None:
    """Its folder is deleted and Snakemake asked for its result, as the page says."""
    cell = next(cell["cell"] for cell in plan_of(own) if cell["method"] == "lora")
    folder = own.folder / "results" / "cells" / cell
    before = (folder / "delta.safetensors").read_bytes()
    shutil.rmtree(folder)
    own.run(f"results/cells/{cell}/result.json", "--cores", "2")
    assert (folder / "delta.safetensors").read_bytes() == before


def test_an_exported_cell_is_a_folder_of_peft(own: Workflow) -> None:
    cell = next(cell["cell"] for cell in plan_of(own) if cell["method"] == "lora")
    own.petscale("export", cell, "exported")
    config = json.loads((own.folder / "exported" / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA"
    assert "PeftModel.from_pretrained" in (own.folder / "exported" / "README.md").read_text()


def test_the_script_prints_the_means_of_the_tables(root: Path) -> None:
    """On the published tables; means and spread are computed anew from the rows."""
    done = subprocess.run(
        [sys.executable, root / "examples/read_results.py", root / "docs/study"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    cells = pd.read_csv(root / "docs/study/tables/cells.csv")
    rows = [
        row
        for row in cells.to_dict("records")
        if (row["backbone"], row["task"], row["method"]) == ("mini-t5-small-12k", "mini-sentiment", "prompt")
    ]
    scores = [float(row["score"]) for row in rows]
    assert len(scores) == 8
    assert re.search(rf"prompt +{mean(scores):.1f} +{stdev(scores):.1f} +8", done.stdout)
    assert f"{cells['score'].max():.1f} points" in done.stdout.splitlines()[-1]


def plan_of(workflow: Workflow) -> list[dict[str, str]]:
    cells: list[dict[str, str]] = json.loads(workflow.petscale("plan", "study.yaml", "--json").stdout)["cells"]
    return cells
