"""All experiments of a study run from rows to report and tracking store, on both families with few steps per cell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from workflow.project import Workflow

EXPERIMENTS = {
    "methods": {"methods": ["full", "lora"]},
    "structure": {"groups": ["lora"]},
    "convergence": {"match": ["lora"]},
    "threshold": {"budgets": [16, 256], "methods": ["apet-discrete"]},
    "transfer": {"structures": ["apet-adjacent"]},
}


def test_every_experiment_runs_to_the_report(root: Path, tmp_path: Path, empty_database: Path) -> None:
    (tmp_path / "results" / "tracking").mkdir(parents=True)
    shutil.copyfile(empty_database, tmp_path / "results" / "tracking" / "mlflow.db")
    workflow = Workflow(root, tmp_path, root / "src")
    workflow.write(
        ladders=[
            {"name": "mini-t5", "backbones": ["mini-t5-small-random"]},
            {"name": "mini-bert", "backbones": ["mini-bert-small-random"]},
        ],
        tasks=["mini-sentiment", "mini-inference"],
        experiments=EXPERIMENTS,
    )
    workflow.run("--cores", "2")
    results = tmp_path / "results"
    plan = json.loads((results / "tiny" / "plan.json").read_text())
    assert {name for cell in plan["cells"] for name in cell["experiments"]} == set(EXPERIMENTS)
    assert all((results / "cells" / cell["cell"] / "result.json").exists() for cell in plan["cells"])
    assert len(plan["transfers"]) == 4
    for transfer in plan["transfers"]:
        document = json.loads((results / transfer["path"]).read_text())
        assert document["status"] == "done"
        assert document["scores"]["accuracy"]["n"] == 20
    table = (results / "tiny" / "tables" / "cells.csv").read_text()
    assert all(cell["digest"] in table for cell in plan["cells"])
    assert (results / "tiny" / "report.html").stat().st_size > 100_000
    tracked = json.loads((results / "tiny" / "tracked.json").read_text())["cells"]
    assert tracked == {cell["cell"]: "done" for cell in plan["cells"]}
