"""Methods head to head on each backbone: ranks with intervals, and score against what a method costs.

A rank is known only as far as the differences are. With simultaneous intervals for the differences of all pairs of
methods, the rank of a method lies between 1 + the number of methods that are surely better and n - the number of those
that are surely worse (Mogstad, Romano, Shaikh and Wilhelm 2024, Review of Economic Studies 91, section 3). The
intervals are Bonferroni-corrected over the pairs, so all ranks of a backbone hold together at the stated level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.examples import Examples
from petscale.analysis.tidy import asked_by
from petscale.analysis.verdict import corrected_level
from petscale.study.config.analysis import AnalysisSettings

EXPERIMENT = "methods"
_KEYS = ["ladder", "backbone", "scale", "display"]
_RATIOS = {
    "memory_ratio": "peak_memory",
    "train_ratio": "train_tokens_per_s",
    "inference_ratio": "inference_tokens_per_s",
}
_COLUMNS = [
    *_KEYS, "method", "value", "low", "high", "seeds", "rank", "rank_low", "rank_high", "with_best", "trainable",
    "percent", *_RATIOS, "frontier", "tasks", "left_out", "cells",
]  # fmt: skip


Costs = Mapping[tuple[str, str], Mapping[str, float]]
"""Costs of each backbone and method as ratios to those of full fine-tuning (above 1: more)."""


def comparison_table(cells: pd.DataFrame, costs: Costs, settings: AnalysisSettings, examples: Examples) -> pd.DataFrame:
    """One row per backbone and method of the experiment `methods`, the best mean score first.

    Args:
        cells: tidy table in one reading.
        costs: of `cost_ratios`.
        settings: settings of the analysis.
        examples: points of single test examples.

    Returns:
        Columns: the mean over the tasks that all methods of the backbone have (points, with its own interval), `rank`
        with `rank_low` and `rank_high`, `with_best` (whether rank 1 is possible), `trainable` and `percent`, costs as
        ratios to full fine-tuning (above 1: more memory, more tokens a second), and `frontier`: whether no other method
        scores at least as high with fewer trained parameters.
    """
    rows: list[dict[str, Any]] = []
    for key, rung in means.groups(asked_by(cells, EXPERIMENT), _KEYS):
        tasks, left_out = means.common_tasks(rung, ["method"])
        methods = [name for name in means.ordered(rung["method"]) if name != "frozen"]
        if not tasks or len(methods) < 2:
            continue
        parts = {name: rung[rung["method"] == name] for name in methods}
        ranks = rank_ranges(parts, tasks, settings.confidence, examples)
        found = []
        for name, part in parts.items():
            mean = means.mean_of(part, tasks, settings.confidence, examples)
            found.append(
                {
                    **dict(zip(_KEYS, key, strict=True)),
                    "method": name,
                    **{column: getattr(mean, column) for column in ("value", "low", "high", "seeds")},
                    "rank_low": ranks[name][0],
                    "rank_high": ranks[name][1],
                    "with_best": ranks[name][0] == 1,
                    "trainable": int(part["trainable"].iloc[0]),
                    "percent": 100 * part["trainable"].iloc[0] / part["total"].iloc[0],
                    **costs.get((str(key[1]), str(name)), {}),
                    "tasks": ";".join(tasks),
                    "left_out": ";".join(left_out),
                    "cells": ";".join(part["cell"]),
                }
            )
        rows += _ordered(found)
    return pd.DataFrame(rows, columns=_COLUMNS)


def rank_ranges(
    parts: Mapping[str, pd.DataFrame], tasks: Sequence[str], confidence: float, examples: Examples
) -> dict[str, tuple[int, int]]:
    """The lowest and the highest rank that each method may have; without intervals every rank is possible."""
    count = len(parts)
    level = corrected_level(confidence, count * (count - 1) // 2)
    better, worse = dict.fromkeys(parts, 0), dict.fromkeys(parts, 0)
    for a, b in combinations(parts, 2):
        gap = means.paired(parts[a], parts[b], tasks, level, examples)
        first, second = (a, b) if gap.value > 0 else (b, a)
        if gap.bounded and (gap.low > 0 or gap.high < 0):
            better[second] += 1
            worse[first] += 1
    return {name: (1 + better[name], count - worse[name]) for name in parts}


def cost_ratios(alone: pd.DataFrame, beside: pd.DataFrame) -> Costs:
    """Costs as ratios to full fine-tuning: measured alone where the study does that, otherwise those of the cells.

    Args:
        alone: of `efficiency.efficiency_table`; of several tasks the median counts.
        beside: of `costs.costs_table`, whose cells may have run beside each other.
    """
    found: dict[tuple[str, str], Mapping[str, float]] = {}
    own = beside[beside["budget"].isna()]
    full = own[own["method"] == "full"].set_index("backbone")
    for row in own.to_dict("records"):
        if row["backbone"] in full.index:
            found[row["backbone"], row["method"]] = {
                ratio: float(row[column] / full.loc[row["backbone"], column]) for ratio, column in _RATIOS.items()
            }
    for (backbone, method), part in means.groups(alone, ["backbone", "method"]):
        measured = {ratio: float(part[ratio].median()) / 100 for ratio in _RATIOS}
        found[str(backbone), str(method)] = {**found.get((str(backbone), str(method)), {}), **measured}
    return found


def _ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a backbone, best first, with ranks and the frontier of score against trained parameters."""
    ordered = sorted(rows, key=lambda row: -row["value"] if not np.isnan(row["value"]) else np.inf)
    for place, row in enumerate(ordered):
        ahead = [other for other in ordered[:place] if other["value"] > row["value"]]
        row["rank"] = 1 + len(ahead)
        row["frontier"] = not any(
            other["value"] >= row["value"]
            and other["trainable"] <= row["trainable"]
            and (other["value"], -other["trainable"]) != (row["value"], -row["trainable"])
            for other in ordered
        )
    return ordered
