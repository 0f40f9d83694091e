"""Experiment `threshold`: score against budget, and the low and high parameter thresholds (Su et al. figure 7).

    low threshold  = budget from which the monotone fit lies `rise_points` above the measured budget-0 baseline
    high threshold = budget from which it lies no more than `margin_points` below full fine-tuning

On a grid of budgets each is known to lie between the last budget before it and the first budget past it. If full
fine-tuning is not rise + margin points above the baseline, there is no high threshold: the task was not learnt, and the
high level would be below the low one. If several learning rates were swept, each budget uses the rate with the best
median dev score; the rate is selected on dev rows and the score is reported on test rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.bounds import Bounds, percentiles
from petscale.analysis.interval import task_seed_matrix
from petscale.analysis.sweep import Array, Fit, Sweep, fit_sweep
from petscale.analysis.tidy import RANK, asked_by
from petscale.study.config.analysis import AnalysisSettings

EXPERIMENT = "threshold"
KEYS = ["ladder", "backbone", "scale", "display", "task", "kind", "method"]
_RUNG = ["backbone", "task"]
_NO_DRAWS: Array = np.array([np.nan])
_NOTHING = Bounds(_NO_DRAWS, _NO_DRAWS, 0)


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
    seeds: int
    low_none: str  # why there is no low threshold, not even a bound; "" if there is one
    high_none: str
    jump: Array  # (1 + draws,) % of full at the first budget past the low threshold
    jump_above: Array  # the same with the baseline subtracted from both scores
    missing: tuple[float, ...]  # planned budgets without a score in the fit
    diverged: int
    absent: int  # planned cells without a record
    cells: str
    basis: str = ""  # what it was found by: how many budgets of a grid, or cells of a search
    search: str = ""  # path of the search; "" for a grid


def best_rates(sweep: pd.DataFrame) -> pd.DataFrame:
    """The cells of a sweep at the learning rate with the best median dev score, chosen for each budget.

    Returns:
        Rows of the table with a column `complete`: whether every planned rate of the budget has a finished or diverged
        cell; otherwise the best rate is not known. A diverged cell counts as 0 in the median, so that a rate does not
        win because only its few good runs are counted, and does not lose because of a single diverged run.
    """
    # Of all budgets at once, since a study of searches is simulated as a sweep of very many.
    budget = sweep.groupby([*KEYS, "budget"], sort=False, dropna=False).ngroup()
    rate = sweep["learning_rate"]
    shown = sweep["dev"].where(sweep["status"] != "diverged", 0.0)
    dev = shown.groupby([budget, rate], dropna=False).transform("median")
    best = dev.groupby(budget).transform("max")
    lowest = rate.where(dev == best).groupby(budget).transform("min")  # the lower of two rates that are equally good
    found = sweep.assign(complete=dev.notna().groupby(budget).transform("all").astype(bool))
    order = np.argsort(budget.to_numpy(), kind="stable")  # rows of one budget stand together
    return found.iloc[order][(best.isna() | (rate == lowest)).iloc[order]]


def tuned(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells with full fine-tuning and the frozen backbone at their best rate, as swept budgets have it.

    As long as a rate is missing the best one is not known, and the reference has no score.
    """
    reference = cells["method"].isin(means.REFERENCES)
    parts = [part for _, part in means.groups(cells[reference], [*KEYS, "head"])]
    best = [best_rates(part) if part["learning_rate"].nunique() > 1 else part.assign(complete=True) for part in parts]
    known = [part.assign(score=part["score"].where(part["complete"])).drop(columns="complete") for part in best]
    return pd.concat([*known, cells[~reference]]).loc[lambda table: cells.index.intersection(table.index)]


def points_table(cells: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Mean score at each budget with its interval; the references have `budget` 0 (frozen) and NaN (full)."""
    asked = tuned(asked_by(cells, EXPERIMENT))
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
                    RANK: means.rank_of(point, [str(named["task"])]),
                    **means.account(point),
                }
            )
    return pd.DataFrame(rows)


def find_thresholds(cells: pd.DataFrame, settings: AnalysisSettings) -> list[Threshold]:
    """The thresholds of every method, backbone and task that the experiment sweeps.

    Args:
        cells: tidy table in one reading (`readings.read_cells`).
        settings: settings of the analysis.
    """
    asked = tuned(asked_by(cells, EXPERIMENT))
    swept = best_rates(_swept(asked))
    seeds = sorted(set(asked["seed"]))
    found = []
    for key, planned in means.groups(swept, KEYS):
        part = means.scored(planned[planned["complete"]])
        references = asked[(asked[_RUNG] == planned[_RUNG].iloc[0]).all(axis=1)]
        found.append(_threshold(key, part, planned, references, seeds, settings))
    return found


def with_delivered(found: list[Threshold], delivered: Iterable[Threshold]) -> list[Threshold]:
    """Thresholds of a grid with those that another estimate has for the same backbone, task and method in their place.

    A search of budgets delivers such thresholds; their bounds may come from draws of its own (`Bounds.of_draws`).
    """
    chosen = {(one.backbone, one.task, one.method): one for one in [*found, *delivered]}
    return list(chosen.values())


def threshold_table(found: list[Threshold], settings: AnalysisSettings) -> pd.DataFrame:
    """One row per method, backbone and task: both thresholds in parameters, with intervals and kind of censoring.

    `low_after` and `low_until` are the budgets between which the estimate lies, `low_threshold` their geometric middle
    (of a search: the ends of its interval, and the median of its posterior), and `low_from` and `low_to` the interval,
    which contains what lies between budgets. The same holds for `high`.
    """
    rows = []
    for one in found:
        row: dict[str, Any] = {key: getattr(one, key) for key in KEYS}
        for name, bounds, none in (("low", one.low, one.low_none), ("high", one.high, one.high_none)):
            estimate = bounds.estimate(settings.confidence)
            row[f"{name}_threshold"] = 10**estimate.value
            # A search has a posterior instead of two budgets on either side.
            between = (estimate.low, estimate.high) if one.search else (bounds.low[0], bounds.high[0])
            row[f"{name}_after"], row[f"{name}_until"] = (10**end for end in between)
            row[f"{name}_censored"] = bounds.censored
            row[f"{name}_none"] = none
            row[f"{name}_from"] = 10**estimate.low
            row[f"{name}_to"] = 10**estimate.high
        for name, draws in (("jump", one.jump), ("jump_above_baseline", one.jump_above)):
            estimate = percentiles(draws, settings.confidence, one.seeds)
            row.update({name: estimate.value, f"{name}_from": estimate.low, f"{name}_to": estimate.high})
        row["seeds"] = one.seeds
        row |= {"basis": one.basis, "search": one.search}
        row["left_out"] = ";".join(f"{budget:g}" for budget in one.missing)
        row |= {"diverged": one.diverged, "missing": one.absent, "cells": one.cells}
        rows.append(row)
    return pd.DataFrame(rows)


def _threshold(
    key: tuple[Hashable, ...],
    part: pd.DataFrame,
    asked: pd.DataFrame,
    references: pd.DataFrame,
    seeds: list[int],
    settings: AnalysisSettings,
) -> Threshold:
    rule = settings.threshold
    planned = sorted(set(asked["budget"]))
    budgets = sorted(set(part["budget"]))
    scores = task_seed_matrix(part, "score", budgets, seeds, stratum="budget")
    ends = {}
    for method in means.REFERENCES:
        frame = references[references["method"] == method]
        ends[method] = task_seed_matrix(means.scored(frame), "score", [str(references["task"].iloc[0])], seeds)[0]
    generator = np.random.default_rng(settings.seed)  # the same for all sweeps: see `sweep`
    low = high = _NOTHING
    low_none = high_none = "too few budgets"
    jump = jump_above = _NO_DRAWS
    measured = 0
    if len(budgets) >= 2:
        baseline = np.maximum(ends["frozen"], float(references["floor"].iloc[0]))
        sweep = Sweep(np.array(budgets, dtype=float), scores, baseline, ends["full"])
        fit = fit_sweep(sweep, settings.bootstrap_draws, generator)
        measured = fit.seeds
        low, high = fit.low_threshold(rule.rise_points), fit.high_threshold(rule.margin_points)
        jump, jump_above = _share(fit, low, 0.0), _share(fit, low, fit.baseline)
        low_none, high_none = ("" if one.seeds else "no reference" for one in (low, high))
        if fit.full[0] - fit.baseline[0] < rule.rise_points + rule.margin_points:
            # The "high" level would lie below the "low" one: the task was not learnt here at any budget.
            high, high_none = _NOTHING, "full near baseline"
            jump = jump_above = _NO_DRAWS
    used = references["method"].isin(means.REFERENCES)
    account = means.account(pd.concat([asked, references[used]]))
    return Threshold(
        **dict(zip(KEYS, key, strict=True)),  # type: ignore[arg-type]
        low=low,
        high=high,
        seeds=measured,
        low_none=low_none,
        high_none=high_none,
        jump=jump,
        jump_above=jump_above,
        missing=tuple(budget for budget in planned if budget not in budgets),
        diverged=account["diverged"],
        absent=account["missing"],
        cells=account["cells"],
        basis=f"{len(budgets)} budgets",
    )


def _share(fit: Fit, low: Bounds, baseline: Array | float) -> Array:
    """Percent of full fine-tuning at the first budget past the low threshold, estimate and draws.

    All values are NaN if the low threshold is censored, because then no budget just past it was measured.
    """
    if low.censored or not low.seeds:
        return np.full(len(fit.full), np.nan)
    share: Array = 100 * (fit.after(low) - baseline) / (fit.full - baseline)
    return share


def _swept(asked: pd.DataFrame) -> pd.DataFrame:
    return asked[~asked["method"].isin(means.REFERENCES)]
