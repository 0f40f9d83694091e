"""Intervals over seeds: tasks are treated as fixed and seeds as random, and paired values stay paired.

A percentile bootstrap of three seeds would only give their range, so every interval here is a t interval whose unit is
the seed. Cells of one seed share data order and masks over tasks, so they are never treated as independent. Errors that
the variance over seeds does not contain (the choice of test examples, the steps between two evaluations) are added as a
further variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval. `low`, `high` and `se` are NaN if it comes from fewer than two seeds."""

    value: float
    low: float = math.nan
    high: float = math.nan
    se: float = math.nan
    seeds: int = 0
    wider: bool = False  # whether the interval includes a further variance, beside that over seeds
    degrees: float = math.nan  # degrees of freedom of a t interval; NaN if the interval is not one
    sign: str = ""  # "<=" or ">=" if the value is only a bound of what it estimates

    def at(self, confidence: float) -> Estimate:
        """The same estimate with the t interval of another level; one without degrees of freedom stays as it is."""
        if math.isnan(self.degrees) or not self.bounded:
            return self
        half = t_quantile(confidence, self.degrees) * self.se
        return replace(self, low=self.value - half, high=self.value + half)

    @property
    def bounded(self) -> bool:
        """Whether there is an interval at all; its ends may still be infinite."""
        return not (math.isnan(self.low) or math.isnan(self.high))


NOTHING = Estimate(math.nan)


def t_quantile(confidence: float, degrees: float) -> float:
    """Two-sided t quantile: P(|T| <= q) = confidence."""
    return float(stats.t.ppf(0.5 + confidence / 2, degrees))


def task_seed_matrix(
    frame: pd.DataFrame, value: str, tasks: Sequence[Hashable], seeds: Sequence[int], stratum: str = "task"
) -> Matrix:
    """Values as a (tasks, seeds) array, NaN where a cell is absent or has no score; repeats of a cell are averaged.

    Rows of other tasks or seeds are left out. `stratum` names the column to use instead of the task.
    """
    row = {task: index for index, task in enumerate(tasks)}
    column = {seed: index for index, seed in enumerate(seeds)}
    sums, counts = np.zeros((len(row), len(column))), np.zeros((len(row), len(column)))
    for task, seed, number in zip(frame[stratum], frame["seed"], frame[value], strict=True):
        if task in row and seed in column and number == number:
            sums[row[task], column[seed]] += number
            counts[row[task], column[seed]] += 1
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def mean_over_tasks(values: Matrix, confidence: float = 0.95, further: float = math.nan) -> Estimate:
    """The mean over fixed tasks of the mean over seeds, with its t interval.

    With Y[t, s] the value of task t and seed s, n_t the seeds of task t and T the tasks,

        estimate = (1/T) sum_t mean_s Y[t, s]
        c_s      = sum_t (Y[t, s] - mean_s Y[t, s]) / (T sqrt(n_t (n_t - 1)))     (contribution of seed s)
        v        = sum_s c_s^2,     se^2 = v + further
        interval = estimate +- t((S-1) (v + further)^2 / v^2) se                  (Satterthwaite)

    If no cell is missing, this is the t interval of the means of the seeds. It allows any correlation between the tasks
    of one seed. A task with a single seed is given the mean variance of the tasks with several seeds. A task without
    any seed is left out; the caller has to report it.

    Args:
        values: array of shape (tasks, seeds), NaN where missing.
        confidence: two-sided level.
        further: variance of the estimate in addition to that over seeds; NaN if it is unknown.

    Returns:
        The estimate; without interval when fewer than two seeds have a value.
    """
    present = ~np.isnan(values)
    values = values[present.any(axis=1)]
    if values.size == 0:
        return NOTHING
    values = values[:, present.any(axis=0)]
    present = ~np.isnan(values)
    counts = present.sum(axis=1, keepdims=True)
    means = np.nansum(values, axis=1, keepdims=True) / counts
    estimate = float(means.mean())
    seeds = values.shape[1]
    # Without a task that has two seeds there is no variance within a task, even if the tasks have different seeds.
    if seeds < 2 or counts.max() < 2:
        return Estimate(estimate, seeds=int(counts.max()))
    residuals = np.where(present, values - means, 0.0)
    several = counts[:, 0] >= 2
    scale = len(values) * np.sqrt(np.maximum(counts * (counts - 1), 1))
    contributions = (residuals / scale).sum(axis=0)
    spread = (residuals[several] ** 2).sum(axis=1) / (counts[several, 0] - 1)
    shown = float((contributions**2).sum() + (~several).sum() * spread.mean() / len(values) ** 2)
    variance = shown + (0.0 if math.isnan(further) else further)
    degrees = (seeds - 1) * (variance / shown) ** 2 if shown > 0 else math.inf
    se = math.sqrt(variance)
    return Estimate(estimate, estimate, estimate, se, seeds, wider=not math.isnan(further), degrees=degrees).at(
        confidence
    )


def jackknife(
    statistic: Callable[[NDArray[np.intp]], float], seeds: int, confidence: float = 0.95, further: float = 0.0
) -> Estimate:
    """The t interval of any smooth statistic of the seeds, computed by leaving out one seed at a time.

        se^2 = (S-1)/S sum_s (theta_(-s) - mean theta_(-.))^2 + further,     interval = theta +- t(S-1) se

    Args:
        statistic: function from the indices of the seeds to use to a number, which is NaN if undefined.
        seeds: how many seeds there are.
        confidence: two-sided level.
        further: variance of the statistic in addition to that over seeds.
    """
    everyone = np.arange(seeds)
    value = statistic(everyone)
    if seeds < 3 or math.isnan(value):  # quadratic statistics need two seeds after one is left out
        return Estimate(value, seeds=seeds)
    left = np.array([statistic(np.delete(everyone, s)) for s in everyone])
    if np.isnan(left).any():
        return Estimate(value, seeds=seeds)
    se = math.sqrt((seeds - 1) / seeds * float(((left - left.mean()) ** 2).sum()) + further)
    return Estimate(value, value, value, se, seeds, degrees=seeds - 1).at(confidence)


def difference(a: Estimate, b: Estimate, confidence: float = 0.95) -> Estimate:
    """The difference a - b for independent estimates, with Welch's interval and Satterthwaite's degrees of freedom."""
    value = a.value - b.value
    if not (a.bounded and b.bounded):
        return Estimate(value, seeds=min(a.seeds, b.seeds))
    variance = a.se**2 + b.se**2
    if variance == 0:
        return Estimate(value, value, value, 0.0, min(a.seeds, b.seeds))
    degrees = variance**2 / (a.se**4 / (a.seeds - 1) + b.se**4 / (b.seeds - 1))
    seeds = min(a.seeds, b.seeds)
    return Estimate(value, value, value, math.sqrt(variance), seeds, degrees=degrees).at(confidence)
