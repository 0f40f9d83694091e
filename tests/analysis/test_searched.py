"""Thresholds of searches in the tables and on the page: intervals from the posterior, in both readings."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from petscale.analysis.obstacles import obstacles
from petscale.analysis.run import Tables, analyse
from petscale.analysis.searched import curves_table, searches_table
from petscale.analysis.study_plan import settings_of, with_sweeps
from petscale.report.build import build
from petscale.study.cell import Cell
from petscale.training.probe import next_round
from petscale.workspace.plan import plan_document
from petscale.workspace.searches import with_found
from search.made import GRID, SEARCH, Folder, points


def tables_of(root: Path, folder: Folder) -> Tables:
    document = plan_document(with_found(GRID, folder.layout))
    document["provenance"] = {}
    plan = root / "results" / "one" / "plan.json"
    plan.parent.mkdir(parents=True, exist_ok=True)
    plan.write_text(json.dumps(document))
    return analyse(plan, root / "results", plan.parent / "tables")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Folder, Tables]:
    root = tmp_path_factory.mktemp("searched")
    folder = Folder(root / "results")
    folder.run()
    return root, folder, tables_of(root, folder)


def test_the_interval_is_that_of_the_search(made: tuple[Path, Folder, Tables]) -> None:
    """Draws reach the table as an interval; without sampling, it is the posterior's own."""
    _, folder, tables = made
    rows = tables["threshold"].set_index("reading")
    row = rows.loc["by knowledge"]
    assert (row["basis"], row["search"]) == ("search, 7 cells", SEARCH.path)
    state = next_round(SEARCH, list(folder.records().values()), folder.layout).posterior
    for name, crossing in (("low", state.low), ("high", state.high)):
        low, high = crossing.interval(0.95)
        assert math.log10(row[f"{name}_threshold"]) == pytest.approx(float(crossing.quantile(0.5)))
        assert math.log10(row[f"{name}_from"]) == pytest.approx(low, abs=0.15)
        assert math.log10(row[f"{name}_to"]) == pytest.approx(high, abs=0.15)
        assert (row[f"{name}_after"], row[f"{name}_until"]) == (row[f"{name}_from"], row[f"{name}_to"])
        assert row[f"{name}_from"] < row[f"{name}_to"]


def test_a_reading_in_which_nothing_is_learnt_has_no_threshold(made: tuple[Path, Folder, Tables]) -> None:
    """Exact match is 0 in all of these results."""
    row = made[2]["threshold"].set_index("reading").loc["as published"]
    assert (row["low_none"], row["high_none"]) == ("full near baseline", "full near baseline")
    assert math.isnan(row["low_threshold"])


def test_the_jump_is_read_off_the_curve(made: tuple[Path, Folder, Tables]) -> None:
    row = made[2]["threshold"].set_index("reading").loc["by knowledge"]
    curve = made[2]["threshold_curves"]
    budgets = sorted(cell.budget for cell in _cells(made[1]) if cell.budget)
    past = next(budget for budget in budgets if budget >= row["low_threshold"] * (1 - 1e-9))
    at = curve[(curve["reading"] == "by knowledge") & (curve["budget"] == past)].iloc[0]
    assert row["jump"] == pytest.approx(100 * at["value"] / 80, abs=3)
    assert row["jump_from"] < row["jump"] < row["jump_to"]


def test_the_curve_does_not_fall_and_has_a_band(made: tuple[Path, Folder, Tables]) -> None:
    curve = made[2]["threshold_curves"]
    own = curve[curve["reading"] == "by knowledge"]
    assert (np.diff(own["budget"]) > 0).all()
    assert (np.diff(own["value"]) > -1e-9).all()
    assert ((own["low"] <= own["value"] + 0.5) & (own["value"] <= own["high"] + 0.5)).all()
    assert own["budget"].iloc[0] == SEARCH.smallest
    assert own["budget"].iloc[-1] == SEARCH.largest


def test_the_table_of_searches_counts_their_cells(made: tuple[Path, Folder, Tables]) -> None:
    (row,) = made[2]["searches"][lambda table: table["reading"] == "by knowledge"].to_dict("records")
    assert (row["trials"], row["most_trials"], row["largest"]) == (7, 7, SEARCH.largest)


def test_cells_that_are_missing_or_diverged_are_counted(tmp_path: Path) -> None:
    def score(cell: Cell) -> float | None:
        return None if cell.budget is not None and cell.seed == 2 else points(cell)

    folder = Folder(tmp_path / "results", score)
    folder.run()
    lost = next(cell for cell in _cells(folder) if cell.budget and cell.seed == 1)
    Path(folder.layout.result(lost.path)).unlink()
    table = tables_of(tmp_path, folder)["threshold"]
    row = table[table["reading"] == "by knowledge"].iloc[0]
    assert (row["diverged"], row["missing"], row["basis"]) == (2, 1, "search, 4 cells")


def test_the_page_shows_the_search_and_its_curve(made: tuple[Path, Folder, Tables]) -> None:
    root, _, _ = made
    plan = root / "results" / "one" / "plan.json"
    page = root / "results" / "one" / "report.html"
    build(plan, root / "results", plan.parent / "tables", page, plan.parent / "figures")
    assert (plan.parent / "figures" / "threshold-T5-mini-sentiment-knowledge.svg").exists()
    text = page.read_text()
    assert "Searches of budgets" in text
    assert "search, 7 cells" in text


def _cells(folder: Folder) -> list[Cell]:
    return [planned.cell for planned in with_found(GRID, folder.layout).cells.values()]


def test_a_search_hinders_no_claim_that_a_sweep_would_not_hinder() -> None:
    """Before any cell runs no budget is known, but the plan knows what the search will resolve."""
    plan = plan_document(GRID)
    swept = [cell for cell in with_sweeps(plan)["cells"] if cell["search"]]
    budgets = sorted({cell["budget"] for cell in swept})
    assert (budgets[0], budgets[-1]) == (SEARCH.smallest, SEARCH.largest)
    assert max(later / earlier for earlier, later in pairwise(budgets)) <= 2.0  # from 1 to 2 there is no budget
    assert {cell["seed"] for cell in swept} == {1, 2, 3}
    found = obstacles(plan, settings_of(plan))["T5"]
    assert "jump" not in found
    assert found["low-rises"] == "the ladder has one size"
    assert "swept on" in found["low-equal-methods"]  # a single method


def test_a_study_without_searches_has_empty_tables() -> None:
    assert curves_table([]).empty
    assert searches_table({}, []).equals(pd.DataFrame([]))
