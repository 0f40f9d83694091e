"""Experiment `methods`: published methods compared with full fine-tuning by scale (Su et al. figures 1 and 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.examples import Examples
from petscale.analysis.gaps import gap_row
from petscale.analysis.tidy import RANK, asked_by
from petscale.study.config.analysis import AnalysisSettings

EXPERIMENT = "methods"
_KEYS = ["ladder", "backbone", "scale", "display"]


def methods_table(cells: pd.DataFrame, settings: AnalysisSettings, examples: Examples) -> pd.DataFrame:
    """Mean score by backbone and method, for each task and over the tasks that all methods of the ladder have.

    Args:
        cells: tidy table.
        settings: settings of the analysis, among them the level of the intervals.
        examples: points of single test examples.

    Returns:
        One row per backbone, method and task; `task` is `(mean)` for the mean over tasks. `difference*` is the paired
        difference to full fine-tuning.
    """
    rows: list[dict[str, Any]] = []
    for _, ladder in means.groups(asked_by(cells, EXPERIMENT), ["ladder"]):
        tasks, left_out = means.common_tasks(ladder, ["backbone", "method"])
        for key, rung in means.groups(ladder, _KEYS):
            full = rung[rung["method"] == "full"]
            for method in means.ordered(rung["method"]):
                part = rung[rung["method"] == method]
                for task in (means.MEAN, *means.ordered(part["task"])):
                    mean = task == means.MEAN
                    chosen = tasks if mean else [task]
                    rows.append(
                        {
                            **dict(zip(_KEYS, key, strict=True)),
                            "method": method,
                            "task": task,
                            **_values(part, full, chosen, settings.confidence, examples),
                            RANK: means.rank_of(part, chosen),
                            "tasks": ";".join(chosen),
                            "left_out": ";".join(left_out) if mean else "",
                            **means.account(part if mean else part[part["task"] == task]),
                        }
                    )
    return pd.DataFrame(rows)


def gaps_table(cells: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Gaps among the parameter-efficient methods by backbone, in points."""
    rows = []
    for _, ladder in means.groups(asked_by(cells, EXPERIMENT), ["ladder"]):
        tasks, left_out = means.common_tasks(ladder, ["backbone", "method"])
        for key, rung in means.groups(ladder, _KEYS):
            row = gap_row(
                rung,
                pet_methods(rung),
                tasks,
                permutations=settings.methods.permutations,
                confidence=settings.confidence,
                seed=settings.seed,
            )
            rows.append({**dict(zip(_KEYS, key, strict=True)), **row, "left_out": ";".join(left_out)})
    return pd.DataFrame(rows)


def pet_methods(frame: pd.DataFrame) -> list[str]:
    """The methods of a table that train a delta: all but full fine-tuning and the frozen backbone."""
    return [method for method in means.ordered(frame["method"]) if method not in means.REFERENCES]


def _values(
    part: pd.DataFrame, full: pd.DataFrame, tasks: list[str], confidence: float, examples: Examples
) -> dict[str, Any]:
    against = means.paired(part, full, tasks, confidence, examples)
    known = bool(len(full)) and part["method"].iloc[0] != "full"
    return {
        **means.interval_columns(means.mean_of(part, tasks, confidence, examples)),
        "diverged_at_chance": means.mean_with_diverged(part, tasks),
        "difference": against.value if known else np.nan,
        "difference_low": against.low if known else np.nan,
        "difference_high": against.high if known else np.nan,
    }
