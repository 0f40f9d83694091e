"""Ranks are known as far as differences are: their ranges hold the true ranks, and differences are seen where clear."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.studies import as_claimed
from petscale.analysis.comparison import comparison_table, cost_ratios, rank_ranges
from petscale.analysis.means import MEAN
from petscale.analysis.readings import PUBLISHED
from petscale.report.figures.comparison import figures
from petscale.study.config.analysis import AnalysisSettings

TASKS = ["a", "b"]


def parts_of(truth: dict[str, float], sd: float, seeds: int, generator: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Scores around the truth; the cells of one seed and task share a deviation, as they share the order of rows."""
    shared = generator.normal(0, sd, (len(TASKS), seeds))
    found = {}
    for method, mean in truth.items():
        own = mean + shared + generator.normal(0, sd, (len(TASKS), seeds))
        found[method] = pd.DataFrame(
            [
                {"cell": f"{method}-{task}-{seed}", "method": method, "task": task, "seed": seed, "score": own[t, seed]}
                for t, task in enumerate(TASKS)
                for seed in range(seeds)
            ]
        )
    return found


@pytest.mark.parametrize(
    "truth", [dict.fromkeys("ABCDE", 80.0), {"A": 80.0, "B": 79.0, "C": 78.5, "D": 60.0, "E": 60.0}]
)
def test_ranges_hold_all_true_ranks_at_once(truth: dict[str, float]) -> None:
    """In 200 draws at 95 %: at most 1 in 10 draws may miss. Equal methods may have any of the ranks that they share."""
    generator, missed = np.random.default_rng(0), 0
    for _ in range(200):
        found = rank_ranges(parts_of(truth, 2.0, 5, generator), TASKS, 0.95, {})
        first = {name: 1 + sum(other > mean for other in truth.values()) for name, mean in truth.items()}
        last = {name: sum(other >= mean for other in truth.values()) for name, mean in truth.items()}
        missed += any(low > first[name] or high < last[name] for name, (low, high) in found.items())
    assert missed <= 20


def test_clear_differences_give_single_ranks_and_one_seed_gives_none() -> None:
    truth = {"A": 90.0, "B": 70.0, "C": 50.0}
    generator = np.random.default_rng(1)
    assert rank_ranges(parts_of(truth, 0.5, 5, generator), TASKS, 0.95, {}) == {"A": (1, 1), "B": (2, 2), "C": (3, 3)}
    assert set(rank_ranges(parts_of(truth, 0.5, 1, generator), TASKS, 0.95, {}).values()) == {(1, 3)}


def test_the_table_agrees_with_the_means_and_orders_by_them() -> None:
    study = as_claimed()
    table = study.tables["comparison"]
    means = study.tables["methods"]
    for (backbone, reading), part in table.groupby(["backbone", "reading"], sort=False):
        assert part["value"].is_monotonic_decreasing
        assert part["rank"].tolist() == part["value"].rank(ascending=False, method="min").astype(int).tolist()
        assert (part["rank_low"] <= part["rank"]).all() and (part["rank"] <= part["rank_high"]).all()
        same = means[(means["backbone"] == backbone) & (means["reading"] == reading) & (means["task"] == MEAN)]
        known = same.set_index("method")
        for row in part.itertuples():
            if row.tasks == known.loc[row.method, "tasks"]:
                assert row.value == pytest.approx(known.loc[row.method, "value"])
        better = [
            not ((part["value"] >= row.value) & (part["trainable"] < row.trainable)).any() for row in part.itertuples()
        ]
        assert part["frontier"].tolist() == better


def test_costs_are_ratios_to_full_fine_tuning_on_the_same_backbone() -> None:
    study = as_claimed()
    costs = study.tables["costs"]
    for row in study.tables["comparison"].itertuples():
        own = costs[(costs["backbone"] == row.backbone) & costs["budget"].isna()].set_index("method")
        expected = own.loc[row.method, "train_tokens_per_s"] / own.loc["full", "train_tokens_per_s"]
        assert row.train_ratio == pytest.approx(expected, nan_ok=True)


def test_costs_that_were_measured_alone_replace_those_of_the_cells() -> None:
    """By the median over tasks, as shares and not percentages, for the backbones and methods that were measured."""
    ratios = [{"train_ratio": 50.0, "memory_ratio": 20.0}, {"train_ratio": 150.0, "memory_ratio": 30.0}]
    alone = pd.DataFrame([{"backbone": "b", "method": "lora", "inference_ratio": 90.0, **each} for each in ratios])
    costs = {"peak_memory": 10.0, "train_tokens_per_s": 8.0, "inference_tokens_per_s": 6.0, "budget": np.nan}
    cells = [
        {**costs, "backbone": "b", "method": "full"},
        {**costs, "backbone": "b", "method": "lora", "peak_memory": 9.0},
        {**costs, "backbone": "b", "method": "prompt", "train_tokens_per_s": 4.0},
    ]
    found = cost_ratios(alone, pd.DataFrame(cells))
    assert found["b", "lora"] == {"memory_ratio": 0.25, "train_ratio": 1.0, "inference_ratio": 0.9}
    assert found["b", "prompt"] == {"memory_ratio": 1.0, "train_ratio": 0.5, "inference_ratio": 1.0}
    assert cost_ratios(alone.iloc[:0], pd.DataFrame(cells))["b", "lora"]["memory_ratio"] == 0.9


def test_a_study_without_the_experiment_has_an_empty_table() -> None:
    cells = as_claimed().tables["cells"].iloc[:0]
    table = comparison_table(cells, {}, AnalysisSettings(), {})
    assert table.empty and {"rank", "frontier"} <= set(table.columns)


def test_costs_are_drawn_where_there_are_methods_enough() -> None:
    table = as_claimed().tables["comparison"]
    one = table[(table["backbone"] == table["backbone"].iloc[0]) & (table["reading"] == PUBLISHED)]
    many = pd.concat([one.assign(method=one["method"] + str(copy)) for copy in range(3)])
    both = pd.concat([many, many.assign(reading="by knowledge")])
    drawn = figures({"comparison": both})
    assert {figure.table for figure in drawn} == {"comparison"}
    for figure in drawn:
        document = figure.interactive()
        assert {row["method"] for rows in document["datasets"].values() for row in rows if "method" in row} == set(
            many["method"]
        )
    assert figures({"comparison": one}) == [] or len(one) >= 6
