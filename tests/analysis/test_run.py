"""The tables of whole studies are deterministic and right, name missing cells, and list the cells of each number."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.studies import AS_CLAIMED, as_claimed, unlike_claimed, with_holes
from analysis.synthetic import BUDGETS
from petscale.analysis.interval import mean_over_tasks
from petscale.analysis.means import MEAN
from petscale.analysis.readings import PUBLISHED
from petscale.analysis.run import analyse, csv_text
from petscale.analysis.wording import power_texts


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    study = unlike_claimed()
    analyse(study.plan, study.root, tmp_path)
    for path in sorted(tmp_path.glob("*.csv")):
        assert path.read_bytes() == (study.folder / "tables" / path.name).read_bytes(), path.name
    assert len(list(tmp_path.glob("*.csv"))) >= 19


def test_claims_in_markdown_show_the_power_of_each_row() -> None:
    study = as_claimed()
    text = (study.folder / "tables" / "claims.md").read_text()
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")][2:]
    shown = [row[7].strip() for row in rows]
    assert shown == power_texts(study.tables["claims"], study.tables["power"])
    assert "*power*: the chance that this study would decide this claim" in text


def test_claims_in_markdown_say_what_the_table_says() -> None:
    study = unlike_claimed()
    lines = (study.folder / "tables" / "claims.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]
    claims = study.tables["claims"]
    assert [row[:4] for row in rows] == claims[["claim", "ladder", "reading", "verdict"]].to_numpy().tolist()
    for row, known in zip(rows, claims.itertuples(), strict=True):
        numbers = [float(word) for cell in row[5:7] for word in re.findall(r"-?\d+\.\d+", cell)]
        expected = [value for value in (known.value, known.low, known.high) if np.isfinite(value)]
        assert numbers == pytest.approx(expected, abs=0.005)


def test_means_are_the_truth_within_their_intervals() -> None:
    table = as_claimed().tables["methods"]
    rows = table[(table["task"] == MEAN) & (table["ladder"] == "mini-t5") & (table["reading"] == PUBLISHED)]
    inside = 0
    for row in rows.itertuples():
        truth = 90.0 + AS_CLAIMED.offsets.get(row.method, (0.0, 0.0))[row.scale]
        inside += row.low <= truth <= row.high
    assert inside >= len(rows) - 1
    assert (rows["seeds"] == 3).all()


def test_a_number_leads_back_to_its_cells() -> None:
    study = with_holes()
    table = study.tables["methods"]
    row = table[(table["task"] == MEAN) & (table["method"] == "lora") & (table["reading"] == PUBLISHED)].iloc[0]
    tasks = row["tasks"].split(";")
    values = np.full((len(tasks), 3), np.nan)
    for path in row["cells"].split(";"):
        record = study.root / "cells" / path / "result.json"
        if not record.exists():
            continue
        document = json.loads(record.read_text())
        task, seed = path.split("/")[1], int(path.split("/")[3].split("-")[0].removeprefix("seed"))
        if document["status"] == "done" and task in tasks:
            values[tasks.index(task), seed - 1] = 100 * document["test"][document["metric"]]["value"]
    assert mean_over_tasks(values).value == pytest.approx(row["value"])


def test_holes_are_counted_wherever_a_number_stands() -> None:
    tables = with_holes().tables
    cells = tables["cells"]
    assert 0.25 < (cells["status"] != "done").mean() < 0.42
    for name in (
        "methods",
        "structure",
        "gaps",
        "structure_gaps",
        "table2",
        "threshold_points",
        "control",
        "costs",
    ):
        table = tables[name]
        assert (table["done"] + table["diverged"] + table["missing"] == table["planned"]).all(), name
        assert (table["missing"] + table["diverged"]).sum() > 0, name
    assert tables["convergence"]["censored"].sum() > 0
    assert (tables["transfer"]["status"] == "missing").any()
    assert set(cells.loc[cells["score"].isna(), "cell"]) <= set(tables["missing"]["cell"])
    assert (tables["threshold"]["left_out"] != "").any()


def test_diverged_cells_are_out_of_the_mean_and_beside_it() -> None:
    table = with_holes().tables["methods"]
    own = table[(table["diverged"] > 0) & table["value"].notna()]
    assert (own["diverged_at_chance"] < own["value"]).mean() > 0.8


def test_thresholds_are_recovered_at_the_better_rate() -> None:
    tables = as_claimed().tables
    points, found = tables["threshold_points"], tables["threshold"]
    swept = points[~points["method"].isin(("full", "frozen")) & (points["value"] > 20)]
    assert (swept["learning_rate"] == 1e-3).all()
    small = found[(found["scale"] == 0) & (found["ladder"] == "mini-t5")]
    large = found[(found["scale"] == 1) & (found["ladder"] == "mini-t5")]
    for part, after, until in ((small, 16, 64), (large, 256, 1_024)):
        assert part["low_after"].tolist() == pytest.approx([after] * len(part))
        assert part["low_until"].tolist() == pytest.approx([until] * len(part))
    assert (large["high_until"] <= 4_097).all()
    assert small.loc[small["reading"] == PUBLISHED, "jump"].between(90, 96).all()
    assert set(points["budget"].dropna()) == {0.0, *BUDGETS}


def test_gaps_and_structure_gaps_name_every_group() -> None:
    tables = as_claimed().tables
    gaps = tables["gaps"][tables["gaps"]["ladder"] == "mini-t5"]
    assert gaps["largest_gap"].tolist()[0] == pytest.approx(14.0, abs=1.5)
    assert gaps["p"].tolist()[0] < 0.05
    assert set(tables["structure_gaps"]["group"]) == {"prompt", "bitfit", "lora", "adapter"}


def test_transfer_marks_what_has_no_meaning() -> None:
    table = as_claimed().tables["transfer"]
    t5 = table[table["ladder"] == "mini-t5"]
    crossed = t5[(t5["source"] == "facts") != (t5["target"] == "facts")]
    assert (crossed["status"] == "undefined").all()
    assert crossed["relative"].isna().all()
    itself = t5[t5["relation"] == "itself"]
    assert itself["relative"].tolist() == pytest.approx([100.0] * len(itself))
    within = t5[t5["relation"] == "within a type"]
    assert within["above_chance"].tolist() == pytest.approx([90.0] * len(within), abs=4)
    across = t5[(t5["relation"] == "across types") & (t5["status"] == "done")]
    assert across["relative"].mean() == pytest.approx(60.0, abs=3)  # chance alone: 55 %
    assert across["above_chance"].mean() == pytest.approx(10.0, abs=3)


def test_pre_training_minus_random_is_paired() -> None:
    table = as_claimed().tables["control"]
    assert set(table["kind"]) == {"sentiment", "inference", "qa"}
    assert (table["low"] > 10).all()


def test_costs_keep_what_was_not_measured_absent() -> None:
    table = as_claimed().tables["costs"]
    assert table["energy_j"].isna().all()
    assert (table["train_tokens_per_s"] > 0).all()
    assert not (table["method"].str.startswith("apet") & table["budget"].isin(BUDGETS)).any()


def test_csv_joins_lists_and_leaves_absent_values_empty() -> None:
    table = pd.DataFrame({"a": [("x", "y"), ()], "b": [1 / 3, np.nan]})
    assert csv_text(table) == "a,b\nx;y,0.3333333333\n,\n"
