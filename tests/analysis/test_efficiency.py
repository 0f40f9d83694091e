"""Ratios to full fine-tuning are means of paired repeats; what was not measured is absent, and holes are counted."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from petscale.analysis.costs import missing_table
from petscale.analysis.efficiency import efficiency_table, measurements_table
from petscale.analysis.run import analyse
from petscale.cells.efficiency import EfficiencyRecord, write_efficiency
from petscale.report.build import build, read_tables
from petscale.report.figures.efficiency import figures
from petscale.study.config.analysis import AnalysisSettings
from petscale.workspace.grid import open_grid
from petscale.workspace.plan import plan_document
from petscale.workspace.study_file import parse_study

SPEEDS = {"full": [100.0, 110.0, 90.0], "lora": [130.0, 132.0, 126.0], "prompt": [50.0, 44.0, 45.0]}
MEMORY = {"full": 1_000, "lora": 400, "prompt": 600}


def speed(value: float, energy_j: float | None = None) -> dict[str, Any]:
    each = {"median": value, "low": 0.9 * value, "high": 1.2 * value, "steps": 4, "tokens": 2_000}
    return {**each, "seconds": 10.0, "cpu_s": 9.0, "energy_j": energy_j}


def record(planned: dict[str, Any], value: float, **changes: Any) -> EfficiencyRecord:
    method = planned["method"]
    merged = {"speed": speed(2 * value), "difference": 1e-7} if method != "prompt" else None
    document = {
        "measurement": planned["measurement"], "digest": planned["digest"], "spec": {}, "device": "a machine",
        "training": speed(value, 8.0), "inference": speed(3 * value), "merged": merged,
        "not_merged": None if merged else "prompts cannot", "peak_memory": MEMORY[method],
        "memory_by": "device allocations", "work": {"counted": 3_000_000, "formula": 2e6, "tokens": 500},
        "sizes": {"trainable": 10, "deployed": 0, "total": 1_000, "stored_bytes": 90}, "began": 0.0, "ended": 1.0,
        "hashes": {}, "provenance": {}, **changes,
    }  # fmt: skip
    return EfficiencyRecord.model_validate(document)


@pytest.fixture
def study(tmp_path: Path) -> dict[str, Any]:
    """Three methods with three repeats each, whose records lie below `tmp_path`."""
    planned = [
        {
            "measurement": f"b/t/{method}/seed{seed}-0", "digest": f"{method}{seed}", "backbone": "b", "ladder": "l",
            "scale": 0, "task": "t", "method": method, "seed": seed, "trainable": 10, "total": 1_000,
            "path": f"measurements/b/t/{method}/seed{seed}-0.json",
        }
        for method in SPEEDS
        for seed in (1, 2, 3)
    ]  # fmt: skip
    for each in planned:
        write_efficiency(tmp_path / each["path"], record(each, SPEEDS[each["method"]][each["seed"] - 1]))
    rungs = [{"name": "b", "display": "B", "scale": 0, "parameters": 1_000}]
    return {"ladders": [{"name": "l", "family": "t5", "backbones": rungs}], "measurements": planned}


def row_of(study: dict[str, Any], root: Path, method: str) -> Any:
    table = efficiency_table(measurements_table(study, root), AnalysisSettings())
    return table[table["method"] == method].iloc[0]


def test_ratios_and_intervals_are_those_of_the_paired_t_test(study: dict[str, Any], tmp_path: Path) -> None:
    """SciPy's interval of the mean of the log ratios, as percentages."""
    row = row_of(study, tmp_path, "lora")
    logs = np.log(np.array(SPEEDS["lora"]) / np.array(SPEEDS["full"]))
    interval = stats.ttest_1samp(logs, 0.0).confidence_interval(0.95)
    assert row["train_ratio"] == pytest.approx(100 * math.exp(logs.mean()))
    assert row["train_ratio_low"] == pytest.approx(100 * math.exp(interval.low))
    assert row["train_ratio_high"] == pytest.approx(100 * math.exp(interval.high))
    assert row["inference_ratio"] == pytest.approx(row["train_ratio"])
    assert row["merged_ratio"] == pytest.approx(row["train_ratio"] * 2 / 3)  # against inference of full fine-tuning
    assert row["memory_ratio"] == pytest.approx(40.0)
    assert row["train"] == statistics.median(SPEEDS["lora"])
    assert (row["energy"], row["cpu_percent"], row["flop"]) == (4.0, 90.0, 3e6)
    assert row_of(study, tmp_path, "full")["train_ratio"] == pytest.approx(100.0)


def test_what_was_not_measured_is_absent(study: dict[str, Any], tmp_path: Path) -> None:
    row = row_of(study, tmp_path, "prompt")
    assert math.isnan(row["merged"]) and math.isnan(row["merged_ratio"])
    assert row["not_merged"] == "prompts cannot"
    for each in study["measurements"]:
        plain = record(each, 1.0, training=speed(1.0))
        write_efficiency(tmp_path / each["path"], plain)
    assert math.isnan(row_of(study, tmp_path, "lora")["energy"])


def test_one_repeat_has_no_interval_and_another_device_is_no_pair(study: dict[str, Any], tmp_path: Path) -> None:
    for each in study["measurements"]:
        if each["method"] == "lora" and each["seed"] > 1:
            write_efficiency(tmp_path / each["path"], record(each, 1.0, device="another machine"))
    row = row_of(study, tmp_path, "lora")
    assert row["train_ratio"] == pytest.approx(130.0)
    assert math.isnan(row["train_ratio_low"]) and math.isnan(row["train_ratio_high"])
    assert row["device"] == "a machine;another machine"


def test_missing_damaged_and_foreign_records_are_told(study: dict[str, Any], tmp_path: Path) -> None:
    gone, damaged, foreign = study["measurements"][3:6]
    (tmp_path / gone["path"]).unlink()
    path = tmp_path / damaged["path"]
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "peak_memory": 1}))
    foreign["digest"] = "other"
    table = measurements_table(study, tmp_path)
    assert table["status"].tolist() == ["done"] * 3 + ["missing"] * 3 + ["done"] * 3
    row = row_of(study, tmp_path, "lora")
    assert (row["repeats"], row["planned"], row["missing"]) == (0, 3, 3)
    assert math.isnan(row["train"]) and math.isnan(row["train_ratio"])
    cells = pd.DataFrame(columns=["cell", "status", "cause", "experiments", "score"])
    transfers = pd.DataFrame(columns=["path", "status", "cause"])
    missing = missing_table(cells, transfers, table)
    assert missing["cell"].tolist() == [each["path"] for each in (gone, damaged, foreign)]
    assert missing["cause"].str.contains("not run|seal|digest").all()
    assert set(missing["experiments"]) == {"efficiency"}


def test_a_study_without_measurements_has_empty_tables(tmp_path: Path) -> None:
    table = measurements_table({"ladders": []}, tmp_path)
    assert table.empty and efficiency_table(table, AnalysisSettings()).empty


def test_the_report_draws_what_was_measured(study: dict[str, Any], tmp_path: Path) -> None:
    table = efficiency_table(measurements_table(study, tmp_path), AnalysisSettings())
    made = figures({"efficiency": table})
    assert [figure.name for figure in made] == [f"efficiency-{name}-l" for name in ("train", "inference", "memory")]
    for figure in made:
        figure.chart.to_dict()  # raises where the chart breaks the schema
        json.dumps(figure.interactive(), allow_nan=False)
    assert figures({}) == []


def test_a_study_of_measurements_alone_has_tables_and_a_report(tmp_path: Path) -> None:
    """It has no cells, so that all other tables are empty."""
    document = {
        "name": "speeds",
        "ladders": [{"name": "mini-t5", "backbones": ["mini-t5-small-12k"]}],
        "tasks": ["mini-sentiment"],
        "seeds": [1, 2],
        "experiments": {"efficiency": {"methods": ["lora"]}},
        "analysis": {"power_draws": 0},
    }
    plan = plan_document(open_grid(parse_study(document, "speeds")))
    path = tmp_path / "speeds" / "plan.json"
    path.parent.mkdir()
    path.write_text(json.dumps(plan))
    for each in plan["measurements"]:
        write_efficiency(tmp_path / each["path"], record(each, SPEEDS[each["method"]][each["seed"] - 1]))
    tables = analyse(path, tmp_path, tmp_path / "tables")
    assert tables["cells"].empty and tables["efficiency"]["repeats"].tolist() == [2, 2]
    build(path, tmp_path, tmp_path / "tables", tmp_path / "report.html", tmp_path / "figures")
    page = (tmp_path / "report.html").read_text()
    assert '<section id="efficiency">' in page and "lora" in page
    assert (tmp_path / "figures" / "efficiency-train-mini-t5.svg").exists()


def test_tables_of_before_measurements_hold_costs_under_the_other_name(tmp_path: Path) -> None:
    for name in ("claims", "cells", "efficiency"):
        (tmp_path / f"{name}.csv").write_text("backbone,method,train_tokens_per_s\nb,lora,3\n")
    tables = read_tables(tmp_path)
    assert "efficiency" not in tables and tables["costs"]["train_tokens_per_s"].tolist() == [3]
    assert figures(tables) == []
