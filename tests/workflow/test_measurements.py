"""Measurements run one at a time, each with nothing of its study beside it; they rerun when their code changes."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from petscale.cells.efficiency import read_efficiency
from petscale.workspace.slurm import settings
from workflow.project import Workflow

EXPERIMENTS = {
    "methods": {"methods": ["full", "lora"]},
    "efficiency": {"methods": ["lora"], "warmup_steps": 1, "steps": 4, "seeds": [1]},
}


def test_a_study_with_measurements(root: Path, tmp_path: Path, empty_database: Path) -> None:
    """One whole run, and what it leaves: a start of the workflow takes longer than all that it does here."""
    (tmp_path / "results" / "tracking").mkdir(parents=True)
    shutil.copyfile(empty_database, tmp_path / "results" / "tracking" / "mlflow.db")
    workflow = Workflow(root, tmp_path, root / "src")
    workflow.write(experiments=EXPERIMENTS)
    # The command line asks for two at once, and there are cores for three beside each other.
    done = workflow.run("--cores", "3", "--resources", "measuring=2")
    results = tmp_path / "results"
    plan = json.loads((results / "tiny" / "plan.json").read_text())
    records = [read_efficiency(results / each["path"]) for each in plan["measurements"]]
    assert sorted(Path(record.measurement).parent.name for record in records) == ["full", "lora"]
    alone = sorted((record.began, record.ended) for record in records)
    assert all(before[1] <= after[0] for before, after in pairwise(alone))
    for cell in plan["cells"]:
        document = json.loads((results / "cells" / cell["cell"] / "result.json").read_text())
        started = datetime.fromisoformat(document["provenance"]["attempts"][-1]["started"]).timestamp()
        # It is told in whole seconds, so that a cell which began in the second of an end may seem to be earlier.
        assert not any(began < started and started + 1 < ended for began, ended in alone), done.stderr
    assert all(record.peak_memory > 0 for record in records)
    table = (results / "tiny" / "tables" / "efficiency.csv").read_text().splitlines()
    assert len(table) == 3
    page = (results / "tiny" / "report.html").read_text()
    assert '<section id="efficiency">' in page and "efficiency-train-mini-t5" in page
    assert workflow.planned() == {}
    status = json.loads(workflow.petscale("status", "study.yaml", "--json").stdout)
    assert [each["phase"] for each in status["measurements"]] == ["done", "done"]
    assert not any(each["stale"] for each in status["measurements"])
    # Another version of the stage, and another device, are other measurements; a lost record is made again.
    package = tmp_path / "src"
    shutil.copytree(workflow.package, package, ignore=shutil.ignore_patterns("__pycache__"))
    stages = package / "petscale" / "study" / "stages.json"
    versions = json.loads(stages.read_text())
    versions["stages"]["measure"]["version"] += 1
    stages.write_text(json.dumps(versions))
    after = {"collect": 1, "analyse": 1, "report": 1, "track": 1}
    assert Workflow(root, tmp_path, package).planned() == {"measure": 2, **after}
    (results / plan["measurements"][0]["path"]).unlink()
    assert workflow.planned() == {"measure": 1, **after}
    hardware = {"gpus": False, "name": "another"}
    assert workflow.planned(experiments=EXPERIMENTS, hardware=hardware) == {"measure": 2, **after}


def test_there_is_one_measuring_whatever_is_asked_for(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """Every job of the rule takes one unit of the resource, and every start of Snakemake has one."""
    monkeypatch.setattr(settings, "install", lambda: None)
    monkeypatch.setattr(settings, "JobScheduler", SimpleNamespace())
    had: dict[str, Any] = {"measuring": 5}
    workflow = SimpleNamespace(
        is_main_process=True,
        register_resource=had.__setitem__,
        scheduling_settings=SimpleNamespace(),
        dag_settings=SimpleNamespace(rerun_triggers=frozenset(), targets=frozenset(), forcerun=frozenset()),
        execute=lambda **_: dict(had),
    )
    settings.settle_settings(workflow, broken=lambda targets: [], begin=lambda: None)
    plugin = SimpleNamespace(common_settings=SimpleNamespace(local_exec=True, dryrun_exec=True))
    assert workflow.execute(executor_plugin=plugin) == {"measuring": 1}
    rule = (root / "workflow" / "rules" / "measure.smk").read_text().split("rule measure:")[1]
    assert "measuring=1," in rule
