"""Experiment `structure`: PET compared with APET in groups of equal budget (Su et al. figure 5 and table 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.examples import Examples
from petscale.analysis.gaps import gap_row
from petscale.analysis.tidy import asked_by, in_group
from petscale.study.config.analysis import AnalysisSettings

EXPERIMENT = "structure"
_KEYS = ["ladder", "backbone", "scale", "display"]


def budget_groups(cells: pd.DataFrame) -> list[str]:
    """The PET methods whose number of trained parameters other methods match, in the order of the plan."""
    return means.ordered(group for names in cells["matches"] for group in names)


def structure_table(cells: pd.DataFrame, settings: AnalysisSettings, examples: Examples) -> pd.DataFrame:
    """Mean score of each method in each budget group, with its paired difference to the group's PET method."""
    rows: list[dict[str, Any]] = []
    for group, tasks, left_out, ladder in group_frames(cells):
        for key, rung in means.groups(ladder, _KEYS):
            pet = rung[rung["method"] == group]
            for method in means.ordered(rung["method"]):
                part = rung[rung["method"] == method]
                for task in (means.MEAN, *means.ordered(part["task"])):
                    mean = task == means.MEAN
                    chosen = tasks if mean else [task]
                    against = means.paired(part, pet, chosen, settings.confidence, examples)
                    own = method == group
                    rows.append(
                        {
                            **dict(zip(_KEYS, key, strict=True)),
                            "group": group,
                            "method": method,
                            "task": task,
                            "trainable": int(part["trainable"].median()),
                            **means.interval_columns(means.mean_of(part, chosen, settings.confidence, examples)),
                            "difference": np.nan if own else against.value,
                            "difference_low": np.nan if own else against.low,
                            "difference_high": np.nan if own else against.high,
                            "tasks": ";".join(chosen),
                            "left_out": ";".join(left_out) if mean else "",
                            **means.account(part if mean else part[part["task"] == task]),
                        }
                    )
    return pd.DataFrame(rows)


def structure_gaps_table(cells: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Gaps within each budget group by backbone, in points."""
    rows = []
    for group, tasks, left_out, ladder in group_frames(cells):
        for key, rung in means.groups(ladder, _KEYS):
            row = gap_row(
                rung,
                means.ordered(rung["method"]),
                tasks,
                permutations=settings.structure.permutations,
                confidence=settings.confidence,
                seed=settings.seed,
            )
            rows.append({**dict(zip(_KEYS, key, strict=True)), "group": group, **row, "left_out": ";".join(left_out)})
    return pd.DataFrame(rows)


def group_frames(cells: pd.DataFrame) -> list[tuple[str, list[str], list[str], pd.DataFrame]]:
    """For each ladder and budget group: the group, its common tasks, the tasks left out, and its planned cells."""
    asked = asked_by(cells, EXPERIMENT)
    frames = []
    for _, ladder in means.groups(asked, ["ladder"]):
        for group in budget_groups(ladder):
            part = in_group(ladder, group)
            tasks, left_out = means.common_tasks(part, ["backbone", "method"])
            frames.append((group, tasks, left_out, part))
    return frames


def table2(cells: pd.DataFrame, settings: AnalysisSettings, examples: Examples) -> pd.DataFrame:
    """All of Su et al.'s table 2: every method and budget on every task, with the share of trained parameters.

    Returns:
        One row per backbone, method, budget group and task. `percent` is trainable divided by all parameters.
    """
    rows = []
    asked = asked_by(cells, EXPERIMENT)
    for key, part in means.groups(asked, [*_KEYS, "method", "budget", "task"]):
        total = part["total"].dropna()
        trainable = int(part["trainable"].median())
        rows.append(
            {
                **dict(zip([*_KEYS, "method", "budget", "task"], key, strict=True)),
                "matches": ";".join(part["matches"].iloc[0]),
                "trainable": trainable,
                "percent": 100.0 * trainable / float(total.iloc[0]) if len(total) else np.nan,
                **means.interval_columns(means.mean_of(part, [str(key[-1])], settings.confidence, examples)),
                **means.account(part),
            }
        )
    return pd.DataFrame(rows)
