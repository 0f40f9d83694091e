"""A threshold search through Snakemake: its cells are trained, and made again where they are lost."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from petscale.artefacts.layout import Layout
from petscale.cells.record import read_result
from workflow.project import Workflow

SEARCHED: dict[str, Any] = {
    "ladders": [{"name": "mini-t5", "backbones": ["mini-t5-small"]}],
    "seeds": [1, 2],
    # So few steps teach no more than to write labels, which the reading of the paper counts as learnt.
    "recipe": {
        "steps": 6,
        "evaluate_every": 3,
        "learning_rate": 1e-2,
        "learning_rate_by_method": {"full": 1e-2},
        "learning_rate_by_task": {},
    },
    "analysis": {"threshold": {"rise_points": 0.5, "margin_points": 0.5}},
    "experiments": {"threshold": {"methods": ["apet-discrete"], "search": {"cells": 3, "reading": "published"}}},
}


NOTHING = "Nothing to be done"


def records(workflow: Workflow) -> dict[str, dict[str, Any]]:
    paths = sorted((workflow.folder / "results" / "searches").rglob("round*.json"))
    return {path.name: json.loads(path.read_text()) for path in paths if path.parent.name != "begun"}


def test_a_search_is_run_and_mends_what_is_lost(root: Path, tmp_path: Path) -> None:
    """All rounds are in one graph; a lost cell comes back with its number by its own rule, or with the study."""
    workflow = Workflow(root, tmp_path, root / "src")
    workflow.write(**SEARCHED)
    layout = Layout(str(tmp_path / "results"))
    plan = "results/tiny/plan.json"
    workflow.run(plan, "--cores", "2")
    before = records(workflow)
    trained = [record["cell"] for record in before.values() if record["cell"]]
    assert len(before) == 4
    assert len(trained) == len(set(trained)) == 3
    results = {cell: read_result(Path(layout.result(cell))) for cell in trained}
    for record in before.values():
        if record["cell"]:
            assert record["score"] == 100 * (results[record["cell"]].test["accuracy"].value or 0)
    (search,) = json.loads((tmp_path / plan).read_text())["searches"]
    assert sorted(search["found"]) == sorted(trained)
    assert NOTHING in workflow.run("-n", plan).stdout

    first = before["round1-seed1.json"]["cell"]
    shutil.rmtree(layout.cell(first))
    workflow.run(f"results/cells/{first}/result.json", "--cores", "2")
    assert read_result(Path(layout.result(first))).test == results[first].test

    shutil.rmtree(layout.cell(first))
    workflow.run(plan, "--cores", "2")
    again = read_result(Path(layout.result(first)))
    assert (again.test, again.dev) == (results[first].test, results[first].dev)
    assert records(workflow) == before
    assert NOTHING in workflow.run("-n", plan).stdout


def test_all_rounds_are_planned_for_slurm_before_any_cell_is_trained(root: Path, tmp_path: Path) -> None:
    workflow = Workflow(root, tmp_path, root / "src")
    workflow.write(**{**SEARCHED, "experiments": {"threshold": {"search": {"cells": 12}}}})
    shutil.copytree(root / "workflow" / "profiles" / "slurm", tmp_path / "slurm")
    done = workflow.run("-n", "--quiet", "rules", "--profile", "slurm", "--sdm", "conda")
    assert re.search(r"^probe +24$", done.stdout + done.stderr, flags=re.MULTILINE)
