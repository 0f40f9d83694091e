"""Means of groups of planned cells, with their intervals and the list of runs from which each was computed."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis.examples import Examples, example_variance
from petscale.analysis.interval import Estimate, Matrix, mean_over_tasks, task_seed_matrix
from petscale.analysis.spread import Cube
from petscale.analysis.tidy import RANK

REFERENCES = ("full", "frozen")  # not parameter-efficient methods, but the two ends with which these are compared
MEAN = "(mean)"  # the row of a table that is the mean over tasks


def ordered(values: Iterable[Any]) -> list[Any]:
    """Distinct values in the order of their first occurrence."""
    return list(dict.fromkeys(values))


def groups(frame: pd.DataFrame, keys: Sequence[str]) -> list[tuple[tuple[Hashable, ...], pd.DataFrame]]:
    """Sub-tables by key columns, in the order of their first occurrence; rows with an absent key form a group too."""
    return [(key, part) for key, part in frame.groupby(list(keys), sort=False, dropna=False)]


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    """The finished cells that have a score."""
    return frame[frame["score"].notna()]


def common_tasks(planned: pd.DataFrame, group: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the planned tasks into those on which every group (with any score) has a score, and the others.

    Means over different tasks cannot be compared, so a task that one method lacks is left out of all means.
    """
    done = scored(planned)
    tasks = ordered(planned["task"])
    sets = [set(part["task"]) for _, part in groups(done, group)] if not done.empty else []
    kept = [task for task in tasks if sets and all(task in one for one in sets)]
    return kept, [task for task in tasks if task not in kept]


def matrix(frame: pd.DataFrame, tasks: Sequence[str], seeds: Sequence[int], value: str = "score") -> Matrix:
    """Scores of one method as (tasks, seeds)."""
    return task_seed_matrix(frame, value, tasks, seeds)


def cube(
    frame: pd.DataFrame,
    methods: Sequence[str],
    tasks: Sequence[str],
    seeds: Sequence[int],
    value: str = "score",
) -> Cube:
    """Scores of several methods as (methods, tasks, seeds)."""
    if not methods:
        return np.full((0, len(tasks), len(seeds)), np.nan)
    return np.stack([matrix(frame[frame["method"] == method], tasks, seeds, value) for method in methods])


def mean_of(planned: pd.DataFrame, tasks: Sequence[str], confidence: float, examples: Examples) -> Estimate:
    """Mean score over the given tasks."""
    values = matrix(planned, tasks, sorted(set(planned["seed"])))
    further = example_variance([(planned, 1)], _scored_tasks(values, tasks), examples)
    return mean_over_tasks(values, confidence, further)


def paired(a: pd.DataFrame, b: pd.DataFrame, tasks: Sequence[str], confidence: float, examples: Examples) -> Estimate:
    """Mean over tasks of a - b, paired by task, seed and test example; pairs with only one side are ignored."""
    seeds = sorted(set(a["seed"]) | set(b["seed"]))
    values = matrix(a, tasks, seeds) - matrix(b, tasks, seeds)
    further = example_variance([(a, 1), (b, -1)], _scored_tasks(values, tasks), examples)
    return mean_over_tasks(values, confidence, further)


def interval_columns(estimate: Estimate, name: str = "value") -> dict[str, Any]:
    """An estimate as the columns that every table uses."""
    return {
        name: estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "se": estimate.se,
        "seeds": estimate.seeds,
        "examples": "random" if estimate.wider else "fixed",
    }


def account(planned: pd.DataFrame) -> dict[str, Any]:
    """How many of a row's planned cells are done, diverged or missing, and the paths of all of them."""
    done = planned["score"].notna()
    diverged = planned["status"] == "diverged"
    return {
        "planned": len(planned),
        "done": int(done.sum()),
        "diverged": int(diverged.sum()),
        "missing": int((~done & ~diverged).sum()),
        "cells": ";".join(planned["cell"]),
    }


def mean_with_diverged(planned: pd.DataFrame, tasks: Sequence[str]) -> float:
    """The mean with each diverged cell counted at chance, because leaving diverged cells out would hide them."""
    filled = planned.assign(score=planned["score"].where(planned["status"] != "diverged", planned["chance"]))
    return mean_over_tasks(matrix(filled, tasks, sorted(set(filled["seed"])))).value


def rank_of(planned: pd.DataFrame, tasks: Sequence[str]) -> float:
    """Mean over tasks of `rank_accuracy`, the accuracy of the most probable label; NaN if no task has one.

    It is reported beside exact match, which is 0 on T5 until the model has learnt to write label words at all.
    """
    return mean_over_tasks(matrix(planned, tasks, sorted(set(planned["seed"])), RANK)).value


def _scored_tasks(values: Matrix, tasks: Sequence[str]) -> list[str]:
    return [task for task, row in zip(tasks, values, strict=True) if not np.isnan(row).all()]
