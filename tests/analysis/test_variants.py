"""Variants of a method are compared in pairs, from which the claims on faults of published rows are decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from petscale.analysis.claims import listed
from petscale.analysis.means import MEAN
from petscale.analysis.obstacles import obstacles
from petscale.analysis.readings import KNOWLEDGE
from petscale.analysis.simulate import Mixed, Simulator, World, shares
from petscale.analysis.tidy import tidy
from petscale.analysis.variants import variants_table
from petscale.report.figures.variants import figures
from petscale.study.config.analysis import AnalysisSettings
from petscale.workspace.grid import open_grid
from petscale.workspace.plan import plan_document
from petscale.workspace.study_file import parse_study

CLAIMS = ("shifted-prefix-below", "bf16-masters-below")
SETTINGS = AnalysisSettings(claims=CLAIMS, bootstrap_draws=200)
PAIRS = [
    ("prefix", "prefix-shifted"),
    ("prefix-flat", "prefix-flat-shifted"),
    ("ia3-float32", "ia3-bfloat16"),
    ("parallel-float32", "parallel-bfloat16"),
]


def plan_of(root: Path, **changes: Any) -> dict[str, Any]:
    """The plan of mini-rows without its search for rates, so that all of its cells are known."""
    study = yaml.safe_load((root / "studies/mini-rows.yaml").read_text())
    del study["experiments"]["methods"]["rates"]
    return plan_document(open_grid(parse_study({**study, **changes}, "mini-rows.yaml")))


def scored(plan: dict[str, Any], seed: int = 0) -> pd.DataFrame:
    """The cells of a plan with random scores."""
    generator = np.random.default_rng(seed)
    cells = tidy(plan, Path("no-results"))
    return cells.assign(status="done", score=generator.normal(60, 5, len(cells)))


def test_each_pair_has_the_paired_difference_that_scipy_finds(root: Path) -> None:
    plan = plan_of(root, tasks=["mini-qa", "mini-opinion"])
    cells = scored(plan)
    table = variants_table(plan, cells, SETTINGS, {})
    assert list(dict.fromkeys(zip(table["first"], table["second"], strict=True))) == PAIRS
    for row in table.to_dict("records"):
        tasks = ["mini-qa", "mini-opinion"] if row["task"] == MEAN else [row["task"]]
        known = cells[(cells["backbone"] == row["backbone"]) & cells["task"].isin(tasks)]
        by_seed = known.pivot_table(index="seed", columns="method", values="score")
        first, second = by_seed[row["first"]], by_seed[row["second"]]
        low, high = stats.ttest_rel(first, second).confidence_interval(0.95)
        expected = {"first_value": first.mean(), "second_value": second.mean(), "low": low, "high": high}
        expected["difference"] = (first - second).mean()
        assert {key: row[key] for key in expected} == pytest.approx(expected)
        assert set(row["cells"].split(";")) == set(known[known["method"].isin((row["first"], row["second"]))]["cell"])


def test_a_row_says_in_what_its_pair_differs(root: Path) -> None:
    plan = plan_of(root)
    table = variants_table(plan, scored(plan), SETTINGS, {})
    told = {row.first: row.differs for row in table.itertuples()}
    assert told == {
        "prefix": "positions: default / shifted",
        "prefix-flat": "positions: default / shifted",
        "ia3-float32": "masters: default / bfloat16",
        "parallel-float32": "masters: default / bfloat16",
    }


def test_a_pair_without_a_score_on_one_side_has_no_number_and_is_counted(root: Path) -> None:
    plan = plan_of(root)
    cells = scored(plan)
    lost = cells["method"] == "prefix-shifted"
    cells = cells.assign(score=cells["score"].mask(lost), status=cells["status"].mask(lost, "missing"))
    table = variants_table(plan, cells, SETTINGS, {})
    rows = table[table["second"] == "prefix-shifted"]
    assert rows["difference"].isna().all() and (rows["left_out"] == "mini-qa").all()
    assert (rows["missing"] == 5).all()
    assert table[table["second"] != "prefix-shifted"]["difference"].notna().all()


def test_methods_that_run_in_one_way_are_no_pair(root: Path) -> None:
    experiments = {"methods": {"methods": ["full", "prefix", "prefix-flat-shifted"]}}
    plan = plan_of(root, experiments=experiments)
    assert variants_table(plan, scored(plan), SETTINGS, {}).empty


def test_the_figure_shows_every_pair_on_every_backbone(root: Path) -> None:
    plan = plan_of(root)
    table = pd.concat(
        [variants_table(plan, scored(plan, seed), SETTINGS, {}).assign(reading=reading)
         for seed, reading in ((0, "as published"), (1, "by knowledge"))]
    )  # fmt: skip
    drawn = figures({"variants": table})
    assert [figure.name for figure in drawn] == ["variants-mini-t5", "variants-mini-t5-knowledge"]
    for figure in drawn:
        (points,) = [rows for rows in figure.chart.to_dict()["datasets"].values() if "pair" in rows[0]][:1]
        assert {row["pair"] for row in points} == {f"{a} minus {b}" for a, b in PAIRS}
        assert len(points) == 8
    assert figures({"variants": pd.DataFrame()}) == []


def drawn(root: Path, world: World, draws: int, mixed: Mixed | None = None) -> pd.DataFrame:
    simulator, generator = Simulator(plan_of(root), SETTINGS), np.random.default_rng(0)
    found = shares([simulator.claims(world, generator, mixed) for _ in range(draws)])
    return found[found["reading"] == KNOWLEDGE].set_index("id")


def test_a_fault_that_costs_points_is_supported_and_one_that_costs_none_is_not(root: Path) -> None:
    """The methods are spread evenly below full in the order of the plan, the second of each pair by 5 points more."""
    lower = drawn(root, World(gap=(35.0, 35.0), seed_sd=0.5), 3)
    assert set(lower.index) == set(CLAIMS) and (lower["supported"] == 1).all()
    equal = drawn(root, World(gap=(0.0, 0.0), seed_sd=0.5), 3)
    assert (equal["not supported"] == 1).all()
    one_size = drawn(root, World(gap=(35.0, 0.0), seed_sd=0.5), 3)
    assert (one_size["not supported"] == 1).all()


@pytest.mark.parametrize("mixed", [Mixed(methods=True), Mixed(constant=0.0)])
def test_no_placebo_is_supported(root: Path, mixed: Mixed) -> None:
    found = drawn(root, World(gap=(12.0, 12.0), seed_sd=2.0), 40, mixed)
    assert (found["supported"] <= 0.05).all()


@pytest.mark.parametrize(
    ("claim", "first", "second", "key", "changed"),
    [
        (
            "shifted-prefix-below", "prefix", "prefix-shifted", "positions",
            {"method": "prefix", "options": {"positions": "shifted", "tokens": 3}},
        ),
        (
            "bf16-masters-below", "ia3-float32", "ia3-bfloat16", "masters",
            {"method": "ia3", "recipe": {"precision": "bfloat16", "masters": "bfloat16"}},
        ),
        (
            "bf16-masters-below", "ia3-float32", "ia3-bfloat16", "masters",
            {"method": "lora-qv", "options": {}, "recipe": {"precision": "bfloat16", "masters": "bfloat16"}},
        ),
    ],
)  # fmt: skip
def test_a_pair_that_differs_in_more_than_the_fault_decides_nothing(
    root: Path, claim: str, first: str, second: str, key: str, changed: dict[str, Any]
) -> None:
    (none,) = obstacles(plan_of(root), SETTINGS).values()
    assert none == {}
    variants = yaml.safe_load((root / "studies/mini-rows.yaml").read_text())["variants"]
    (found,) = obstacles(plan_of(root, variants={**variants, second: changed}), SETTINGS).values()
    assert found == {claim: f"{first} and {second} are not the same method with another value of {key} alone"}


def test_only_studies_with_these_variants_list_the_claims(root: Path) -> None:
    assert {claim.id for claim in listed(plan_of(root), AnalysisSettings())} >= set(CLAIMS)
    plain = plan_of(root, experiments={"methods": {"methods": ["full", "prefix", "ia3-float32"]}})
    assert {claim.id for claim in listed(plain, AnalysisSettings())}.isdisjoint(CLAIMS)
