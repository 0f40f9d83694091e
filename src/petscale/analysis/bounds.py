"""Numbers known only up to bounds: what censored thresholds allow to be said, draw by draw.

A threshold beyond the swept budgets is "more than the last budget", never an extrapolated number. Sums and
differences of such thresholds are intervals in turn (interval arithmetic); a percentile interval then takes the lower
ends for its low and the upper ends for its high limit, so censoring can only widen it.
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
        """How the estimate is censored: '<=' below the first budget, '>' above the last, 'hole' within one, or ''."""
        if np.isneginf(self.low[0]):
            return "<="
        if np.isposinf(self.high[0]):
            return ">"
        return "hole" if self.low[0] < self.high[0] else ""

    @property
    def point(self) -> float:
        """The estimate: the crossing; the finite bound where it is censored; the middle of a hole."""
        if np.isneginf(self.low[0]):
            return float(self.high[0])
        return float(self.low[0] if np.isposinf(self.high[0]) else (self.low[0] + self.high[0]) / 2)

    def __sub__(self, other: Bounds) -> Bounds:
        return Bounds(self.low - other.high, self.high - other.low, min(self.seeds, other.seeds))

    def estimate(self, confidence: float) -> Estimate:
        """Percentile interval. No interval from fewer than two seeds."""
        if self.seeds < 2 or len(self.low) < 2 or np.isnan(self.low).any():
            return Estimate(self.point, seeds=self.seeds)
        tail = (1 - confidence) / 2
        low = float(np.quantile(self.low[1:], tail, method="inverted_cdf"))
        high = float(np.quantile(self.high[1:], 1 - tail, method="inverted_cdf"))
        return Estimate(self.point, low, high, float("nan"), self.seeds)


def mean_of(bounds: Sequence[Bounds]) -> Bounds:
    """Mean of several, draw by draw."""
    low = np.mean([one.low for one in bounds], axis=0)
    high = np.mean([one.high for one in bounds], axis=0)
    return Bounds(low, high, min(one.seeds for one in bounds))


def percentiles(draws: Array, confidence: float, seeds: int) -> Estimate:
    """Percentile interval of plain draws, the estimate first; draws that are NaN have no say."""
    known = draws[1:][~np.isnan(draws[1:])]
    if seeds < 2 or not len(known):
        return Estimate(float(draws[0]), seeds=seeds)
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Estimate(float(draws[0]), float(low), float(high), float("nan"), seeds)
