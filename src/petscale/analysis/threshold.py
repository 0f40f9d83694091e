"""Experiment `threshold`: score against budget, low and high parameter thresholds (Su et al. figure 7).

    low threshold  = first budget at which the monotone fit lies `rise_points` above the measured budget-0 baseline
    high threshold = first budget at which it lies no more than `margin_points` below full fine-tuning

on the interpolation over log budget. Where several learning rates were swept, each budget takes the rate with the
best median dev score: selected on dev, reported on test.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.bounds import Bounds, percentiles
from petscale.analysis.interval import task_seed_matrix
from petscale.analysis.settings import AnalysisSettings
from petscale.analysis.sweep import Array, Fit, Sweep, fit_sweep
from petscale.analysis.tidy import asked_by

EXPERIMENT = "threshold"
KEYS = ["ladder", "backbone", "scale", "display", "task", "kind", "method"]
_RUNG = ["backbone", "task"]


@dataclass(frozen=True)
class Threshold:
    """The thresholds of one method on one backbone and task. Positions are log10 of trainable parameters."""

    ladder: str
    backbone: str
    scale: int
    display: str
    task: str
    kind: str
    method: str
    low: Bounds
    high: Bounds
    fit: Fit
    jump: Array  # (1 + draws,) % of full at the first budget past the low threshold
    jump_above: Array  # the same with the baseline taken off both
    missing: tuple[float, ...]  # planned budgets that the fit lacks
    cells: str


def best_rates(sweep: pd.DataFrame) -> pd.DataFrame:
    """The cells of a sweep at the learning rate with the best median dev score, chosen for each budget.

    Returns:
        Rows of the table with a column `complete`: whether every planned rate of the budget has a finished or
        diverged cell, without which the best is not known. A rate must not win by the survivors of many diverged
        runs, nor lose by one: a diverged cell counts as 0 in the median.
    """
    parts = []
    for _, part in means.groups(sweep, [*KEYS, "budget"]):
        shown = part["dev"].where(part["status"] != "diverged", 0.0)
        dev = shown.groupby(part["learning_rate"], dropna=False).median()
        chosen = part if dev.isna().all() else part[part["learning_rate"] == dev.idxmax()]
        parts.append(chosen.assign(complete=bool(dev.notna().all())))
    return pd.concat(parts) if parts else sweep.assign(complete=False)


def points_table(cells: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Mean score at each budget with its interval; the references have `budget` 0 (frozen) and NaN (full)."""
    asked = asked_by(cells, EXPERIMENT)
    rows = []
    for part in (best_rates(_swept(asked)), asked[asked["method"].isin(means.REFERENCES)]):
        for key, point in means.groups(part, [*KEYS, "budget"]):
            named: dict[str, Any] = dict(zip([*KEYS, "budget"], key, strict=True))
            named["budget"] = 0.0 if named["method"] == "frozen" else named["budget"]
            rates = means.ordered(point["learning_rate"])
            estimate = means.mean_of(point, [str(named["task"])], settings.confidence, {})
            rows.append(
                {
                    **named,
                    "learning_rate": rates[0] if len(rates) == 1 else np.nan,
                    **means.interval_columns(estimate),
                    **means.account(point),
                }
            )
    return pd.DataFrame(rows)


def find_thresholds(cells: pd.DataFrame, settings: AnalysisSettings) -> list[Threshold]:
    """The thresholds of every method, backbone and task that the experiment sweeps."""
    asked = asked_by(cells, EXPERIMENT)
    swept = best_rates(_swept(asked))
    found = []
    for key, planned in means.groups(swept, KEYS):
        part = means.scored(planned[planned["complete"]])
        if part["budget"].nunique() < 2:
            continue
        references = asked[(asked[_RUNG] == part[_RUNG].iloc[0]).all(axis=1)]
        found.append(_threshold(key, part, sorted(set(planned["budget"])), references, settings))
    return found


def threshold_table(found: list[Threshold], settings: AnalysisSettings) -> pd.DataFrame:
    """One row a method, backbone and task: both thresholds in parameters, with intervals and how they are censored."""
    rows = []
    for one in found:
        row: dict[str, Any] = {key: getattr(one, key) for key in KEYS}
        for name, bounds in (("low", one.low), ("high", one.high)):
            estimate = bounds.estimate(settings.confidence)
            row[f"{name}_threshold"] = 10**estimate.value
            row[f"{name}_censored"] = bounds.censored if bounds.seeds else "no reference"
            row[f"{name}_from"] = 10**estimate.low
            row[f"{name}_to"] = 10**estimate.high
        for name, draws in (("jump", one.jump), ("jump_above_baseline", one.jump_above)):
            estimate = percentiles(draws, settings.confidence, one.fit.seeds)
            row.update({name: estimate.value, f"{name}_from": estimate.low, f"{name}_to": estimate.high})
        row["seeds"] = one.fit.seeds
        row["left_out"] = ";".join(f"{budget:g}" for budget in one.missing)
        row["cells"] = one.cells
        rows.append(row)
    return pd.DataFrame(rows)


def _threshold(
    key: tuple[Hashable, ...],
    part: pd.DataFrame,
    planned: list[float],
    references: pd.DataFrame,
    settings: AnalysisSettings,
) -> Threshold:
    seeds = sorted(set(references["seed"]) | set(part["seed"]))
    budgets = sorted(set(part["budget"]))
    scores = task_seed_matrix(part, "score", budgets, seeds, stratum="budget")
    ends = {}
    for method in means.REFERENCES:
        frame = references[references["method"] == method]
        ends[method] = task_seed_matrix(means.scored(frame), "score", [str(part["task"].iloc[0])], seeds)[0]
    # Seeded by the row's own name, so that adding a task or a method moves no other interval.
    name = "/".join(map(str, key)).encode()
    generator = np.random.default_rng([settings.seed, zlib.crc32(name)])
    places = [planned.index(budget) for budget in budgets]
    sweep = Sweep(np.array(budgets, dtype=float), scores, ends["frozen"], ends["full"], np.diff(places) > 1)
    fit = fit_sweep(sweep, settings.bootstrap_draws, generator)
    low = fit.low_threshold(settings.threshold.rise_points)
    high = fit.high_threshold(settings.threshold.margin_points)
    used = references["method"].isin(means.REFERENCES)
    return Threshold(
        **dict(zip(KEYS, key, strict=True)),  # type: ignore[arg-type]
        low=low,
        high=high,
        fit=fit,
        jump=_share(fit, low, 0.0),
        jump_above=_share(fit, low, fit.baseline),
        missing=tuple(budget for budget in planned if budget not in budgets),
        cells=";".join([*part["cell"], *references.loc[used, "cell"]]),
    )


def _share(fit: Fit, low: Bounds, baseline: Array | float) -> Array:
    """Percent of full fine-tuning at the first budget past the low threshold, estimate and draws.

    NaN throughout when the low threshold is censored: just past it was then not measured.
    """
    if low.censored or not low.seeds:
        return np.full(len(fit.full), np.nan)
    share: Array = 100 * (fit.after(low) - baseline) / (fit.full - baseline)
    return share


def _swept(asked: pd.DataFrame) -> pd.DataFrame:
    return asked[~asked["method"].isin(means.REFERENCES)]
