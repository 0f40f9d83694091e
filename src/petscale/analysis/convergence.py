"""Experiment `convergence`: when a run has converged, adjacent against discrete (Su et al. figure 6).

The papers give no definition. Ours, on the dev scores of one run, in points:

    smoothed  s_i = mean of dev_j, |i - j| <= (w - 1)/2                      w = `smoothing` evaluations
    baseline  b   = dev score of the budget-0 cell (frozen backbone, same task, head and seed)
    rose          : max_i s_i >= b + `rise`; a run that never rose has no step (censored), not step 0
    step          = first step_i with s_j >= max s - `tolerance` for every j >= i; none if the end falls below
    target step   = first step_i with s_i >= b + `target` (min(best of the pair) - b), the time to a common target
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from petscale.analysis import means
from petscale.analysis.interval import mean_over_tasks, task_seed_matrix
from petscale.analysis.settings import AnalysisSettings, ConvergenceSettings
from petscale.analysis.tidy import asked_by

EXPERIMENT = "convergence"
CONVERGED, NEVER_ROSE, UNSETTLED, NO_CURVE = "converged", "never rose", "unsettled", "no curve"
ADJACENT, DISCRETE = "adjacent", "discrete"

Array = NDArray[np.float64]


def smooth(dev: Array, window: int) -> Array:
    """Centred running mean; at the ends over the evaluations there are."""
    kernel = np.ones(window)
    total = np.convolve(dev, kernel, mode="same") if len(dev) >= window else None
    if total is None:
        half = window // 2
        return np.array([dev[max(0, i - half) : i + half + 1].mean() for i in range(len(dev))])
    smoothed: Array = total / np.convolve(np.ones(len(dev)), kernel, mode="same")
    return smoothed


def convergence_step(
    step: Array, dev: Array, baseline: float, rule: ConvergenceSettings
) -> tuple[float, str]:
    """The step of convergence by the rule above, and how the run ended; NaN where it is censored.

    Args:
        step: optimizer steps of the evaluations, ascending, shape (n,).
        dev: dev scores in points, shape (n,).
        baseline: dev score at budget 0, in points.
        rule: tolerance, smoothing and rise.
    """
    if len(dev) == 0:
        return np.nan, NO_CURVE
    smoothed = smooth(dev, rule.smoothing)
    best = smoothed.max()
    if best < baseline + rule.rise:
        return np.nan, NEVER_ROSE
    below = np.flatnonzero(smoothed < best - rule.tolerance)
    first = below[-1] + 1 if len(below) else 0
    if first == len(dev):
        return np.nan, UNSETTLED
    return float(step[first]), CONVERGED


def target_step(step: Array, dev: Array, target: float, rule: ConvergenceSettings) -> float:
    """First step at which the smoothed dev score reaches a target; NaN if none."""
    reached = np.flatnonzero(smooth(dev, rule.smoothing) >= target) if len(dev) else []
    return float(step[reached[0]]) if len(reached) else np.nan


def runs_table(cells: pd.DataFrame, curves: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """One row a run of a structured method: its step of convergence, how it ended, its baseline and best."""
    asked = asked_by(cells, EXPERIMENT)
    by_cell = dict(iter(curves.dropna(subset=["dev"]).groupby("cell", sort=False)))
    rows = []
    for _, cell in asked[asked["structure"].notna()].iterrows():
        curve = by_cell.get(cell["cell"])
        step = np.array([]) if curve is None else curve["step"].to_numpy(float)
        dev = np.array([]) if curve is None else curve["dev"].to_numpy(float)
        baseline, source = _baseline(asked, cell, step, dev)
        at, outcome = convergence_step(step, dev, baseline, settings.convergence)
        if cell["status"] != "done":
            at, outcome = np.nan, cell["status"]
        smoothed = smooth(dev, settings.convergence.smoothing) if len(dev) else dev
        kept = cell[
            ["cell", "ladder", "backbone", "scale", "display", "task", "kind", "method", "structure", "seed"]
        ]
        rows.append(
            {
                **kept.to_dict(),
                "budget": cell["budget"],
                "group": ";".join(cell["matches"]),
                "step": at,
                "outcome": outcome,
                "resolution": float(np.diff(step).max()) if len(step) > 1 else np.nan,
                "baseline": baseline,
                "baseline_from": source,
                "best": float(smoothed.max()) if len(smoothed) else np.nan,
            }
        )
    return pd.DataFrame(rows)


def pairs_table(runs: pd.DataFrame, curves: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Adjacent against discrete, paired by task, budget and seed.

    Returns:
        One row a pair. `ratio` = log2(discrete step / adjacent step): 1 means adjacent converges in half the steps;
        NaN when either is censored. `target_ratio` is the same for the time to a common target. `first` names the
        structure that came first, a converged run counting before a censored one.
    """
    if runs.empty:
        return pd.DataFrame()
    rule = settings.convergence
    by_cell = dict(iter(curves.dropna(subset=["dev"]).groupby("cell", sort=False)))
    rows: list[dict[str, Any]] = []
    keys = ["ladder", "backbone", "scale", "display", "task", "kind", "group", "seed"]
    for key, part in means.groups(runs, keys):
        sides = {side: part[part["structure"] == side] for side in (ADJACENT, DISCRETE)}
        if any(len(side) != 1 for side in sides.values()):
            continue
        one, two = sides[ADJACENT].iloc[0], sides[DISCRETE].iloc[0]
        target = _target(one, two, rule)
        at = [_reach(by_cell, side, target, rule) for side in (one, two)]
        rows.append(
            {
                **dict(zip(keys, key, strict=True)),
                "adjacent_step": one["step"],
                "discrete_step": two["step"],
                "adjacent_outcome": one["outcome"],
                "discrete_outcome": two["outcome"],
                "ratio": _log_ratio(two["step"], one["step"]),
                "target": target,
                "target_ratio": _log_ratio(at[1], at[0]),
                "first": _first(one["step"], two["step"]),
                "cells": f"{one['cell']};{two['cell']}",
            }
        )
    return pd.DataFrame(rows)


def convergence_table(pairs: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """By backbone and budget group: mean log2 ratio of steps over tasks and seeds, with censored pairs counted."""
    rows = []
    if pairs.empty:
        return pd.DataFrame()
    for key, part in means.groups(pairs, ["ladder", "backbone", "scale", "display", "group"]):
        seeds, tasks = sorted(set(part["seed"])), means.ordered(part["task"])
        for measure, column in (("rule", "ratio"), ("common target", "target_ratio")):
            known = part.dropna(subset=[column])
            used = [task for task in tasks if task in set(known["task"])]
            estimate = mean_over_tasks(task_seed_matrix(known, column, used, seeds), settings.confidence)
            rows.append(
                {
                    **dict(zip(["ladder", "backbone", "scale", "display", "group"], key, strict=True)),
                    "measure": measure,
                    **means.interval_columns(estimate),
                    "pairs": len(part),
                    "censored": len(part) - len(known),
                    "adjacent_first": int((part["first"] == ADJACENT).sum()),
                    "discrete_first": int((part["first"] == DISCRETE).sum()),
                    "tasks": ";".join(used),
                    "left_out": ";".join(task for task in tasks if task not in used),
                    "cells": ";".join(part["cells"]),
                }
            )
    return pd.DataFrame(rows)


def _baseline(asked: pd.DataFrame, cell: pd.Series, step: Array, dev: Array) -> tuple[float, str]:
    frozen = asked[
        (asked["method"] == "frozen")
        & (asked["backbone"] == cell["backbone"])
        & (asked["task"] == cell["task"])
        & asked["dev"].notna()
    ]
    frozen = (
        frozen[frozen["head"].isna()] if pd.isna(cell["head"]) else frozen[frozen["head"] == cell["head"]]
    )
    own = frozen[frozen["seed"] == cell["seed"]]
    if len(own):
        return float(own["dev"].iloc[0]), str(own["cell"].iloc[0])
    if len(frozen):
        return float(frozen["dev"].mean()), ";".join(frozen["cell"])
    if len(step) and step[0] == 0:
        return float(dev[0]), "step 0 of the run itself"
    return float(cell["chance"]), "chance"


def _target(one: pd.Series, two: pd.Series, rule: ConvergenceSettings) -> float:
    baseline = (one["baseline"] + two["baseline"]) / 2
    best = min(one["best"], two["best"])
    if np.isnan(best) or best < baseline + rule.rise:
        return np.nan
    return float(baseline + rule.target * (best - baseline))


def _reach(
    by_cell: dict[Hashable, pd.DataFrame], run: pd.Series, target: float, rule: ConvergenceSettings
) -> float:
    curve = by_cell.get(run["cell"])
    if curve is None or np.isnan(target) or run["outcome"] in ("missing", "diverged"):
        return np.nan
    return target_step(curve["step"].to_numpy(float), curve["dev"].to_numpy(float), target, rule)


def _log_ratio(numerator: float, denominator: float) -> float:
    if np.isnan(numerator) or np.isnan(denominator) or min(numerator, denominator) <= 0:
        return np.nan
    return float(np.log2(numerator / denominator))


def _first(adjacent: float, discrete: float) -> str:
    if np.isnan(adjacent) and np.isnan(discrete):
        return "neither"
    if np.isnan(discrete) or adjacent < discrete:
        return ADJACENT
    return DISCRETE if np.isnan(adjacent) or discrete < adjacent else "together"
