"""One budget sweep: scores by budget and seed, the two reference scores, and the bootstrap of the monotone fit.

y[k, s] is the score at budget k and seed s; the baseline and full fine-tuning are two more rows of y. A draw is

    y*_k = mean_s y[k, s] + g_k / sqrt(W/(S - 1)),   g_k = sum_s z_s (y[k, s] - mean_s y[k, s]) / sqrt(n_k (n_k - 1))

with z_s standard normal and W chi-squared with S - 1 degrees of freedom. This is a multivariate t distribution with the
estimated covariance of the means over seeds. Resampling three seeds would give only ten distinct curves; these draws
are continuous, have the tails of a t distribution, and keep the seeds paired over budgets and references. Draw i has
the same z in every sweep, because the cells of a seed share data order and masks and sweeps share their references. So
thresholds can be compared and averaged draw by draw, and are not treated as independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from petscale.analysis.bounds import Bounds
from petscale.analysis.isotonic import crossing, isotonic_fit

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sweep:
    """Scores in points. Budgets ascend; NaN marks a missing cell; each budget has at least one seed."""

    budgets: Array  # (k,)
    scores: Array  # (k, seeds)
    baseline: Array  # (seeds,) the measured budget-0 score
    full: Array  # (seeds,) full fine-tuning


@dataclass(frozen=True)
class Fit:
    """Monotone fits of a sweep; index 0 along the first axis is the estimate, the rest are draws."""

    log_budgets: Array  # (k,)
    curve: Array  # (1 + draws, k)
    baseline: Array  # (1 + draws,)
    full: Array  # (1 + draws,)
    seeds: int

    def low_threshold(self, rise: float) -> Bounds:
        """log10 of the budget from which the fit lies `rise` points above the measured baseline, as bounds."""
        return self._crossing(self.baseline + rise)

    def high_threshold(self, margin: float) -> Bounds:
        """log10 of the budget from which the fit lies no more than `margin` below full fine-tuning, as bounds."""
        return self._crossing(self.full - margin)

    def after(self, threshold: Bounds) -> Array:
        """The fit at the first swept budget past the estimated threshold, estimate and draws.

        Every draw uses the budget of the estimate, so only the height of the curve varies between draws. The values are
        NaN if no swept budget is past the threshold.
        """
        past = np.flatnonzero(self.log_budgets >= threshold.high[0] - 1e-9)
        return self.curve[:, past[0]] if len(past) else np.full(len(self.curve), np.nan)

    def _crossing(self, level: Array) -> Bounds:
        if np.isnan(level).any():
            nothing = np.full(len(level), np.nan)
            return Bounds(nothing, nothing, 0)
        return Bounds(*crossing(self.log_budgets, self.curve, level), self.seeds)


def fit_sweep(sweep: Sweep, draws: int, generator: np.random.Generator) -> Fit:
    """Fit a sweep and its bootstrap draws.

    Args:
        sweep: the scores.
        draws: bootstrap draws; none are made with fewer than two seeds.
        generator: source of the draws; sweeps that are compared need generators in the same state and the same seeds.
    """
    columns = np.vstack([sweep.scores, sweep.baseline, sweep.full])  # (k + 2, seeds)
    present = ~np.isnan(columns)
    counts = present.sum(axis=1)
    means = np.where(counts > 0, np.nansum(columns, axis=1) / np.maximum(counts, 1), np.nan)
    residuals = np.where(present, columns - means[:, None], 0.0)
    seeds = int(counts[: len(sweep.budgets)].max(initial=0))
    drawn = means[None, :]
    if seeds >= 2:
        noise = _noise(residuals, counts, draws, generator)
        drawn = np.vstack([means, means + noise])
    k = len(sweep.budgets)
    curve = isotonic_fit(drawn[:, :k], counts[:k].astype(float))
    return Fit(np.log10(sweep.budgets), curve, drawn[:, k], drawn[:, k + 1], seeds)


def _noise(residuals: Array, counts: NDArray[np.intp], draws: int, generator: np.random.Generator) -> Array:
    several = counts >= 2
    scale = np.sqrt(np.maximum(counts * (counts - 1), 1))
    weights = residuals / scale[:, None]
    normal = generator.standard_normal((draws, residuals.shape[1]))  # drawn first, so it is the same in all sweeps
    degrees = int(counts.max()) - 1
    tails = np.sqrt(generator.chisquare(degrees, (draws, 1)) / degrees)
    noise = normal @ weights.T
    if not several.all():
        # A budget with one seed has no variance of its own and is given the mean one of the other budgets.
        variance = (residuals[several] ** 2).sum(axis=1) / (counts[several] - 1)
        alone = generator.standard_normal((draws, len(counts))) * np.sqrt(variance.mean())
        noise = np.where(several, noise, alone)
    result: Array = noise / tails
    return result
