"""A threshold search through Snakemake: its cells are trained, and made again where they are lost."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

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


def test_the_best_rate_of_one_seed_is_repeated_with_the_others(root: Path, tmp_path: Path) -> None:
    """Checked against a plain loop over the records: chosen on dev, and only chosen cells are compared."""
    workflow = Workflow(root, tmp_path, root / "src")
    tried = [1e-4, 1e-2]
    asked = {"methods": ["full", "lora"], "rates": tried}
    workflow.write(**{**SEARCHED, "experiments": {"methods": asked}, "analysis": {"power_draws": 0}})
    report = "results/tiny/report.html"
    workflow.run(report, "--cores", "2")
    layout = Layout(str(tmp_path / "results"))
    devs: dict[str, dict[float, float]] = {"full": {}, "lora": {}}
    seeds: dict[str, dict[int, set[float]]] = {"full": {1: set(), 2: set()}, "lora": {1: set(), 2: set()}}
    for path in (tmp_path / "results" / "cells").rglob("result.json"):
        record = read_result(path)
        spec = record.spec
        seeds[spec["method"]][spec["seed"]].add(spec["learning_rate"])
        if spec["seed"] == 1:
            devs[spec["method"]][spec["learning_rate"]] = record.convergence.best_dev
    tables = tmp_path / "results" / "tiny" / "tables"
    rates = pd.read_csv(tables / "rates.csv").set_index("method")
    for method, found in devs.items():
        best = min(found, key=lambda rate: (-found[rate], rate))
        assert seeds[method] == {1: set(tried), 2: {best}}
        assert rates.loc[method, "chosen"] == best
        assert set(tried) == {float(rate) for rate in rates.loc[method, "rates"].split(";")}
    compared = pd.read_csv(tables / "methods.csv")
    assert set(compared["seeds"]) == {2}
    assert (compared["cells"].str.split(";").map(len) == 2).all()
    page = (tmp_path / report).read_text()
    assert '<h2 id="rates">' in page
    assert NOTHING in workflow.run("-n", report).stdout

    again = json.loads(next((tmp_path / "results" / "searches").rglob("*lora*/round1-seed2.json")).read_text())["cell"]
    result = Path(layout.result(again))
    before = read_result(result).test
    shutil.rmtree(layout.cell(again))
    workflow.run(report, "--cores", "2")
    assert read_result(result).test == before
