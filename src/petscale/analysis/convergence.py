"""Experiment `convergence`: adjacent against discrete by the rule of `convergence_rule` (Su et al. figure 6)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.convergence_rule import NO_CURVE, Array, convergence_step, smooth, target_step
from petscale.analysis.interval import Estimate, mean_over_tasks, task_seed_matrix
from petscale.analysis.tidy import asked_by
from petscale.study.config.analysis import AnalysisSettings, ConvergenceSettings

EXPERIMENT = "convergence"
ADJACENT, DISCRETE = "adjacent", "discrete"
_NO_RUN = ("missing", "diverged", NO_CURVE)


def runs_table(cells: pd.DataFrame, curves: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Make one row per run of an APET method: its step of convergence, how it ended, its baseline and best score."""
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
        kept = cell[["cell", "ladder", "backbone", "scale", "display", "task", "kind", "method", "structure", "seed"]]
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
        One row per pair. `ratio` is log2(discrete step / adjacent step), with each step at the middle of its interval
        between two evaluations: 1 means that adjacent converges in half the steps, NaN that either run is censored.
        `target_ratio` is the same for the step that reaches a common target. `first` names the structure that converged
        first; a converged run counts as earlier than a censored one.
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
                "ratio": log_ratio(two["step"], one["step"], one["resolution"]),
                "ratio_variance": grid_variance(two["step"], one["step"], one["resolution"]),
                "target": target,
                "target_ratio": log_ratio(at[1], at[0], one["resolution"]),
                "target_ratio_variance": grid_variance(at[1], at[0], one["resolution"]),
                "first": _first(one, two),
                **{word: sum(side["outcome"] == word for side in (one, two)) for word in ("diverged", "missing")},
                "cells": f"{one['cell']};{two['cell']}",
            }
        )
    return pd.DataFrame(rows)


def convergence_table(pairs: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Mean log2 ratio of steps over tasks and seeds, by backbone and budget group, and the number of censored pairs."""
    rows = []
    if pairs.empty:
        return pd.DataFrame()
    for key, part in means.groups(pairs, ["ladder", "backbone", "scale", "display", "group"]):
        tasks = means.ordered(part["task"])
        for measure, column in (("rule", "ratio"), ("common target", "target_ratio")):
            known = part.dropna(subset=[column])
            used = [task for task in tasks if task in set(known["task"])]
            estimate = mean_ratio(known, column, settings.confidence)
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
                    "diverged": int(part["diverged"].sum()),
                    "missing": int(part["missing"].sum()),
                    "cells": ";".join(part["cells"]),
                }
            )
    return pd.DataFrame(rows)


def mean_ratio(known: pd.DataFrame, column: str, confidence: float) -> Estimate:
    """Mean log ratio over tasks and budget groups, with an interval over seeds and over the grid of evaluations.

    A step is known only up to the interval between two evaluations. All seeds share these evaluations, so the variance
    over seeds does not contain this error. A step is taken as uniform on its interval of width E with middle m, which
    gives log2(d / a) the variance E^2 / 12 (1/m_a^2 + 1/m_d^2) / ln(2)^2.
    """
    strata = known["task"] + "|" + known["group"]
    names = means.ordered(strata)
    by_stratum = known.assign(stratum=strata)
    values = task_seed_matrix(by_stratum, column, names, sorted(set(known["seed"])), stratum="stratum")
    grid = by_stratum.groupby("stratum")[f"{column}_variance"].mean()
    further = float(grid.sum()) / len(names) ** 2 if names else np.nan
    return mean_over_tasks(values, confidence, further)


def grid_variance(numerator: float, denominator: float, width: float) -> float:
    """Variance of `log_ratio` that comes from `width`, the steps between two evaluations."""
    middles = np.array([numerator, denominator]) - width / 2
    return float(width**2 / 12 * (middles**-2.0).sum() / np.log(2) ** 2)


def _baseline(asked: pd.DataFrame, cell: pd.Series, step: Array, dev: Array) -> tuple[float, str]:
    frozen = asked[
        (asked["method"] == "frozen")
        & (asked["backbone"] == cell["backbone"])
        & (asked["task"] == cell["task"])
        & asked["dev"].notna()
    ]
    frozen = frozen[frozen["head"].isna()] if pd.isna(cell["head"]) else frozen[frozen["head"] == cell["head"]]
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


def _reach(by_cell: dict[Hashable, pd.DataFrame], run: pd.Series, target: float, rule: ConvergenceSettings) -> float:
    curve = by_cell.get(run["cell"])
    if curve is None or np.isnan(target) or run["outcome"] in _NO_RUN:
        return np.nan
    return target_step(curve["step"].to_numpy(float), curve["dev"].to_numpy(float), target, rule)


def log_ratio(numerator: float, denominator: float, width: float) -> float:
    """log2 of the ratio of two steps, each at the middle of the interval (step - width, step] that contains it."""
    middles = np.array([numerator, denominator]) - width / 2
    if not (middles > 0).all():
        return np.nan
    return float(np.log2(middles[0] / middles[1]))


def _first(one: pd.Series, two: pd.Series) -> str:
    """Which structure converged first; there is no answer if either run is missing or diverged."""
    if any(side["outcome"] in _NO_RUN for side in (one, two)):
        return "unknown"
    adjacent, discrete = one["step"], two["step"]
    if np.isnan(adjacent) and np.isnan(discrete):
        return "neither"
    if np.isnan(discrete) or adjacent < discrete:
        return ADJACENT
    return DISCRETE if np.isnan(adjacent) or discrete < adjacent else "together"
