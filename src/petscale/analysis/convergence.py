"""Experiment `convergence`: time to a common target of adjacent and discrete (Su et al. figure 6).

The target of a backbone, task and budget is the same for both structures and all seeds:

    target = baseline + convergence.target (min over structures of the median over seeds of the best score - baseline)

A run that does not reach it within its steps is censored: its time is more than its last step. Of a pair with one such
run, the ratio of times has only a bound. Ratios and bounds of all pairs are fitted together by maximum likelihood
(`scipy.stats.norm.fit` of `CensoredData`), so a slow run counts as slow and is not left out.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from petscale.analysis import means
from petscale.analysis.convergence_rule import (
    NEVER_ROSE,
    NO_CURVE,
    Array,
    convergence_step,
    smooth,
    still_rising,
    target_step,
)
from petscale.analysis.interval import Estimate, jackknife, mean_over_tasks, task_seed_matrix
from petscale.analysis.tidy import asked_by
from petscale.study.config.analysis import AnalysisSettings

EXPERIMENT = "convergence"
ADJACENT, DISCRETE = "adjacent", "discrete"
_NO_RUN = ("missing", "diverged", NO_CURVE)
_KEYS = ["ladder", "backbone", "scale", "display", "task", "kind", "group"]

Run = Mapping[Hashable, Any]  # a row of `runs_table`


def runs_table(cells: pd.DataFrame, curves: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Make one row per run of an APET method.

    Args:
        cells: tidy table in one reading; a baseline below its `floor` counts as the floor.
        curves: the learning curves. Dev scores are those of the main metric, so by knowledge a run on a task with
            labels rises only when it writes labels and is right more often than a guess.
        settings: rules of the analysis.

    Returns:
        For each run its baseline and best score, the common target, the step at which it reaches that (`target_step`,
        NaN if it does not), whether it still rises at its end, and the step of convergence by the rule.
    """
    asked = asked_by(cells, EXPERIMENT)
    rule = settings.convergence
    by_cell, frozen = _by_cell(curves), _baselines(asked)
    rows = []
    for cell in asked[asked["structure"].notna()].to_dict("records"):
        step, dev = _curve(by_cell, cell["cell"])
        baseline, source = _baseline(frozen, cell, step, dev)
        at, outcome = convergence_step(step, dev, baseline, rule)
        if cell["status"] != "done":
            at, outcome = np.nan, cell["status"]
        kept = ("cell", "ladder", "backbone", "scale", "display", "task", "kind", "method", "structure", "seed", "head")
        rows.append(
            {
                **{name: cell[name] for name in kept},
                "status": cell["status"],
                "budget": cell["budget"],
                "group": ";".join(cell["matches"]),
                "step": at,
                "outcome": outcome,
                "resolution": float(np.diff(step).max()) if len(step) > 1 else np.nan,
                "last_step": float(step[-1]) if len(step) else np.nan,
                "baseline": baseline,
                "baseline_from": source,
                "best": float(smooth(dev, rule.smoothing).max()) if len(dev) else np.nan,
                "still_rising": outcome not in _NO_RUN and still_rising(dev, rule),
            }
        )
    return _with_targets(pd.DataFrame(rows), by_cell, settings) if rows else pd.DataFrame()


def pairs_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Adjacent against discrete, paired by task, budget and seed.

    Returns:
        One row per pair. `ratio` is log2(discrete step / adjacent step) to the common target, each at the middle of its
        interval between two evaluations: 1 means that adjacent needs half the steps. It is NaN if a run is censored;
        `ratio_low` and `ratio_high` are then its bounds, and otherwise equal to it. `rule_ratio` is the ratio of the
        steps of convergence by the rule. `first` names the structure that reached the target first.
    """
    if runs.empty:
        return pd.DataFrame()
    rows: list[dict[str, Any]] = []
    for key, part in means.groups(runs, [*_KEYS, "seed"]):
        sides = {run["structure"]: run for run in part.to_dict("records")}
        if len(part) != 2 or set(sides) != {ADJACENT, DISCRETE}:
            continue
        one, two = sides[ADJACENT], sides[DISCRETE]
        low, high = ratio_bounds(two, one)
        rows.append(
            {
                **dict(zip([*_KEYS, "seed"], key, strict=True)),
                "target": one["target"],
                "adjacent_step": one["target_step"],
                "discrete_step": two["target_step"],
                "ratio": low if low == high else np.nan,
                "ratio_low": low,
                "ratio_high": high,
                "ratio_variance": grid_variance(two["target_step"], one["target_step"], one["resolution"]),
                "rule_ratio": log_ratio(two["step"], one["step"], one["resolution"]),
                "rule_ratio_variance": grid_variance(two["step"], one["step"], one["resolution"]),
                "first": _first(one, two),
                "adjacent_rose": one["outcome"] not in (*_NO_RUN, NEVER_ROSE),
                "discrete_rose": two["outcome"] not in (*_NO_RUN, NEVER_ROSE),
                "adjacent_rising": one["still_rising"],
                "discrete_rising": two["still_rising"],
                **{word: sum(side["outcome"] == word for side in (one, two)) for word in ("diverged", "missing")},
                "cells": f"{one['cell']};{two['cell']}",
            }
        )
    return pd.DataFrame(rows)


def convergence_table(pairs: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Mean log2 ratio of times over tasks and seeds, by backbone and budget group, and how many pairs are censored.

    Rows with the measure `rule` have the ratio of the steps of convergence; they decide nothing.
    """
    rows = []
    if pairs.empty:
        return pd.DataFrame()
    keys = ["ladder", "backbone", "scale", "display", "group"]
    for key, part in means.groups(pairs, keys):
        tasks = means.ordered(part["task"])
        for measure in ("common target", "rule"):
            ours = measure == "common target"
            known = part.dropna(subset=["ratio_low"] if ours else ["rule_ratio"])
            used = [task for task in tasks if task in set(known["task"])]
            estimate = (
                time_ratio(known, settings.confidence) if ours else mean_ratio(known, "rule_ratio", settings.confidence)
            )
            rows.append(
                {
                    **dict(zip(keys, key, strict=True)),
                    "measure": measure,
                    **means.interval_columns(estimate),
                    "pairs": len(part),
                    "censored": int(part["ratio" if ours else "rule_ratio"].isna().sum()),
                    "still_rising": int(part["adjacent_rising"].sum() + part["discrete_rising"].sum()),
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


def time_ratio(pairs: pd.DataFrame, confidence: float) -> Estimate:
    """Mean log2 ratio of the times to the target, with censored pairs as bounds.

    Without a censored pair this is `mean_ratio`. Otherwise the mean is that of a normal distribution fitted to ratios
    and bounds by maximum likelihood; its interval comes from leaving out one seed at a time (t with S - 1 degrees of
    freedom), with the variance of the grid of evaluations added.

    Args:
        pairs: rows of `pairs_table` with `ratio_low` and `ratio_high`.
        confidence: two-sided level.
    """
    known = pairs.dropna(subset=["ratio_low"])
    if known.empty:
        return Estimate(np.nan)
    if known["ratio"].notna().all():
        return mean_ratio(known, "ratio", confidence)
    seeds = sorted(set(known["seed"]))
    low, high = known["ratio_low"].to_numpy(float), known["ratio_high"].to_numpy(float)
    where = known["seed"].map(seeds.index).to_numpy(int)

    def fitted(chosen: np.ndarray[Any, np.dtype[np.intp]]) -> float:
        kept = np.isin(where, chosen)
        return censored_mean(low[kept], high[kept])

    seen = known.dropna(subset=["ratio"])
    grid = float(seen["ratio_variance"].mean()) / max(_strata(seen).nunique(), 1) if len(seen) else 0.0
    return jackknife(fitted, len(seeds), confidence, further=grid)


def censored_mean(low: Array, high: Array) -> float:
    """Mean of a normal distribution of which some values are known only as bounds, by maximum likelihood.

    Args:
        low: lower bounds, -inf where there is none; equal to `high` where the value is known.
        high: upper bounds, inf where there is none.

    Returns:
        The mean; NaN if fewer than two values are known, for then the spread cannot be told.
    """
    known = low == high
    if known.sum() < 2 or np.ptp(low[known]) == 0:
        return float("nan")
    data = stats.CensoredData(
        uncensored=low[known], right=low[~known & np.isposinf(high)], left=high[~known & np.isneginf(low)]
    )
    mean, _ = stats.norm.fit(data)
    return float(mean)


def mean_ratio(known: pd.DataFrame, column: str, confidence: float) -> Estimate:
    """Mean log ratio over tasks and budget groups, with an interval over seeds and over the grid of evaluations.

    A step is known only up to the interval between two evaluations. All seeds share these evaluations, so the variance
    over seeds does not contain this error. A step is taken as uniform on its interval of width E with middle m, which
    gives log2(d / a) the variance E^2 / 12 (1/m_a^2 + 1/m_d^2) / ln(2)^2.
    """
    strata = _strata(known)
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


def log_ratio(numerator: float, denominator: float, width: float) -> float:
    """log2 of the ratio of two steps, each at the middle of the interval (step - width, step] that contains it."""
    middles = np.array([numerator, denominator]) - width / 2
    if not (middles > 0).all():
        return np.nan
    return float(np.log2(middles[0] / middles[1]))


def ratio_bounds(numerator: Run, denominator: Run) -> tuple[float, float]:
    """Lower and upper bound of log2(time / time) to the target; NaN if neither run reached it or a run is not there.

    Args:
        numerator: row of `runs_table`, as is `denominator`.
        denominator: the run that is divided by.
    """
    if any(run["outcome"] in _NO_RUN for run in (numerator, denominator)) or np.isnan(numerator["target"]):
        return np.nan, np.nan
    width = denominator["resolution"]
    above, below = (np.isnan(run["target_step"]) for run in (numerator, denominator))
    if above and below:
        return np.nan, np.nan
    # A censored run would have reached the target at the next evaluation at the earliest.
    times = [
        run["last_step"] + width if np.isnan(run["target_step"]) else run["target_step"]
        for run in (numerator, denominator)
    ]
    ratio = log_ratio(times[0], times[1], width)
    if np.isnan(ratio):
        return np.nan, np.nan
    return (ratio, np.inf) if above else (-np.inf, ratio) if below else (ratio, ratio)


def _with_targets(
    runs: pd.DataFrame, by_cell: dict[Hashable, pd.DataFrame], settings: AnalysisSettings
) -> pd.DataFrame:
    """Add the common target of each backbone, task and budget, and the step at which each run reaches it."""
    rule = settings.convergence
    parts = []
    for _, part in means.groups(runs, _KEYS):
        ran = part[~part["outcome"].isin(_NO_RUN)]
        medians = ran.groupby("structure")["best"].median()
        baseline = float(ran["baseline"].mean()) if len(ran) else np.nan
        best = float(medians.min()) if len(medians) == 2 else np.nan
        target = baseline + rule.target * (best - baseline) if best >= baseline + rule.rise else np.nan
        reached = [
            np.nan if np.isnan(target) or outcome in _NO_RUN else target_step(*_curve(by_cell, cell), target, rule)
            for cell, outcome in zip(part["cell"], part["outcome"], strict=True)
        ]
        parts.append(part.assign(target=target, target_step=reached))
    return pd.concat(parts).loc[runs.index]


def _by_cell(curves: pd.DataFrame) -> dict[Hashable, pd.DataFrame]:
    return dict(iter(curves.dropna(subset=["dev"]).groupby("cell", sort=False)))


def _curve(by_cell: dict[Hashable, pd.DataFrame], cell: str) -> tuple[Array, Array]:
    curve = by_cell.get(cell)
    if curve is None:
        return np.array([]), np.array([])
    return curve["step"].to_numpy(float), curve["dev"].to_numpy(float)


def _baselines(asked: pd.DataFrame) -> dict[tuple[str, str, str], list[tuple[int, float, str]]]:
    """Seed, dev score and path of the finished budget-0 cells of each backbone, task and head."""
    found: dict[tuple[str, str, str], list[tuple[int, float, str]]] = {}
    for cell in asked[(asked["method"] == "frozen") & asked["dev"].notna()].to_dict("records"):
        found.setdefault(_place(cell), []).append((cell["seed"], cell["dev"], cell["cell"]))
    return found


def _place(cell: dict[str, Any]) -> tuple[str, str, str]:
    return cell["backbone"], cell["task"], cell["head"] if isinstance(cell["head"], str) else ""


def _baseline(
    frozen: dict[tuple[str, str, str], list[tuple[int, float, str]]], cell: dict[str, Any], step: Array, dev: Array
) -> tuple[float, str]:
    every = frozen.get(_place(cell), [])
    own = [one for one in every if one[0] == cell["seed"]]
    if own:
        measured, source = own[0][1], own[0][2]
    elif every:
        measured, source = float(np.mean([score for _, score, _ in every])), ";".join(path for _, _, path in every)
    elif len(step) and step[0] == 0:
        measured, source = float(dev[0]), "step 0 of the run itself"
    else:
        measured, source = float(cell["chance"]), "chance"
    return (measured, source) if measured >= cell["floor"] else (float(cell["floor"]), "guessing")


def _strata(pairs: pd.DataFrame) -> pd.Series:
    return pairs["task"] + "|" + pairs["group"]


def _first(one: Run, two: Run) -> str:
    """Which structure reached the target first; there is no answer if either run is missing or diverged."""
    if any(side["outcome"] in _NO_RUN for side in (one, two)):
        return "unknown"
    adjacent, discrete = one["target_step"], two["target_step"]
    if np.isnan(adjacent) and np.isnan(discrete):
        return "neither"
    if np.isnan(discrete) or adjacent < discrete:
        return ADJACENT
    return DISCRETE if np.isnan(adjacent) or discrete < adjacent else "together"
