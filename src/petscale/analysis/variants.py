"""One method in two ways: each pair of a study's names that run the same method, with their paired difference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pandas as pd

from petscale.analysis import means
from petscale.analysis.examples import Examples
from petscale.analysis.study_plan import StudyPlan
from petscale.analysis.tidy import asked_by
from petscale.study.config.analysis import AnalysisSettings

_KEYS = ["ladder", "backbone", "scale", "display"]
_ABSENT = "default"

Way = tuple[str, Mapping[str, Any]]
"""A registered method, with the options and recipe keys of its cells."""


def ways_of(plan: StudyPlan, ladder: str) -> dict[str, Way]:
    """What each name of a study runs on a ladder; plans of earlier versions have no variants."""
    return {
        cell["method"]: (cell.get("variant_of") or cell["method"], cell.get("options", {}))
        for cell in plan["cells"]
        if cell["ladder"] == ladder
    }


def apart(first: Way, second: Way) -> dict[str, tuple[str, str]]:
    """The keys in which two ways of running a method differ, with the value of each way as text."""
    (_, one), (_, other) = first, second
    keys = sorted(key for key in {*one, *other} if one.get(key) != other.get(key))
    return {key: (_text(one, key), _text(other, key)) for key in keys}


def variants_table(
    plan: StudyPlan, cells: pd.DataFrame, settings: AnalysisSettings, examples: Examples
) -> pd.DataFrame:
    """Pairs of names in the experiment `methods` that run the same method, in the order of the study.

    Args:
        plan: the study plan.
        cells: tidy table in one reading.
        settings: settings of the analysis.
        examples: points of single test examples.

    Returns:
        One row for each backbone, pair and task, and one for the mean over the tasks that both have: the mean of the
        `first` and of the `second` in points, `difference` of the first minus the second with its interval, paired by
        task, seed and test example, and `differs`, which says in what they differ.
    """
    rows = []
    for key, rung in means.groups(asked_by(cells, "methods"), _KEYS):
        ways = ways_of(plan, str(key[0]))
        for first, second in combinations(means.ordered(rung["method"]), 2):
            if ways[first][0] != ways[second][0]:
                continue
            both = rung[rung["method"].isin((first, second))]
            tasks, left_out = means.common_tasks(both, ["method"])
            if both[both["score"].notna()]["method"].nunique() < 2:
                tasks, left_out = [], means.ordered(both["task"])
            told = "; ".join(f"{name}: {one} / {two}" for name, (one, two) in apart(ways[first], ways[second]).items())
            for task in [means.MEAN, *tasks]:
                chosen = tasks if task == means.MEAN else [task]
                a, b = (both[both["method"] == name] for name in (first, second))
                rows.append(
                    {
                        **dict(zip(_KEYS, key, strict=True)),
                        "method": ways[first][0],
                        "first": first,
                        "second": second,
                        "differs": told,
                        "task": task,
                        "first_value": means.mean_of(a, chosen, settings.confidence, examples).value,
                        "second_value": means.mean_of(b, chosen, settings.confidence, examples).value,
                        **means.interval_columns(
                            means.paired(a, b, chosen, settings.confidence, examples), "difference"
                        ),
                        "left_out": ";".join(left_out),
                        **means.account(both if task == means.MEAN else both[both["task"] == task]),
                    }
                )
    return pd.DataFrame(rows)


def _text(options: Mapping[str, Any], key: str) -> str:
    if key not in options:
        return _ABSENT
    value = options[key]
    return value if isinstance(value, str) else json.dumps(value)
