"""Numbers that are known only up to bounds, such as thresholds between two budgets, with their bootstrap draws.

A crossing is known to lie between two swept budgets, and no more. A threshold beyond the swept budgets is "more than
the last budget", never an extrapolated number. Sums and differences
of such thresholds are intervals too (interval arithmetic). A percentile interval takes its low limit from the lower
bounds of the draws and its high limit from the upper bounds, so censoring can only widen it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from petscale.analysis.interval import Estimate

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """Lower and upper bounds, shape (1 + draws,): the estimate first, then its bootstrap draws."""

    low: Array
    high: Array
    seeds: int

    @property
    def censored(self) -> str:
        """How the estimate is censored: '<=' first budget, '>' last budget, or '' between two budgets."""
        if np.isneginf(self.low[0]):
            return "<="
        return ">" if np.isposinf(self.high[0]) else ""

    @property
    def sign(self) -> str:
        """`<=` or `>=` if `point` is only the finite one of the two bounds of the estimate, otherwise ''."""
        below, above = np.isneginf(self.low[0]), np.isposinf(self.high[0])
        return "" if below == above else "<=" if below else ">="

    @property
    def point(self) -> float:
        """The estimate as one number: the middle of its bounds, the finite one, or NaN if there is none."""
        if np.isneginf(self.low[0]) and np.isposinf(self.high[0]):
            return float("nan")
        if np.isneginf(self.low[0]):
            return float(self.high[0])
        return float(self.low[0] if np.isposinf(self.high[0]) else (self.low[0] + self.high[0]) / 2)

    @classmethod
    def of_draws(cls, value: float, draws: Array, seeds: int) -> Bounds:
        """A number that is known from draws of a posterior or bootstrap without bounds of its own, as a search has."""
        every = np.concatenate([[value], draws])
        return cls(every, every, seeds)

    def __sub__(self, other: Bounds) -> Bounds:
        return Bounds(self.low - other.high, self.high - other.low, min(self.seeds, other.seeds))

    def estimate(self, confidence: float) -> Estimate:
        """Percentile interval of the draws; there is none for fewer than two seeds."""
        if self.seeds < 2 or len(self.low) < 2 or np.isnan(self.low).any():
            return Estimate(self.point, seeds=self.seeds, sign=self.sign)
        tail = (1 - confidence) / 2
        low = float(np.quantile(self.low[1:], tail, method="inverted_cdf"))
        high = float(np.quantile(self.high[1:], 1 - tail, method="inverted_cdf"))
        return Estimate(self.point, low, high, float("nan"), self.seeds, sign=self.sign)


def mean_of(bounds: Sequence[Bounds]) -> Bounds:
    """Mean of several thresholds, for each draw separately."""
    low = np.mean([one.low for one in bounds], axis=0)
    high = np.mean([one.high for one in bounds], axis=0)
    return Bounds(low, high, min(one.seeds for one in bounds))


def median_of(bounds: Sequence[Bounds]) -> Bounds:
    """Median of several thresholds, for each draw separately.

    It is a number as long as less than half of them have an open end; a mean has an open end as soon as one has.
    """
    low = np.median([one.low for one in bounds], axis=0)
    high = np.median([one.high for one in bounds], axis=0)
    return Bounds(low, high, min(one.seeds for one in bounds))


def percentiles(draws: Array, confidence: float, seeds: int) -> Estimate:
    """Percentile interval of draws without bounds; the first one is the estimate, and NaN draws are ignored."""
    known = draws[1:][~np.isnan(draws[1:])]
    if seeds < 2 or not len(known):
        return Estimate(float(draws[0]), seeds=seeds)
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Estimate(float(draws[0]), float(low), float(high), float("nan"), seeds)
