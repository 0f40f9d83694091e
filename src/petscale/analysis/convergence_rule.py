"""The rule that says at which step a run has converged.

The papers give no definition. This one uses the dev scores of one run, in points:

    smoothed  s_i = mean of dev_j, |i - j| <= (w - 1)/2                      w = `smoothing` evaluations
    baseline  b   = dev score of the budget-0 cell (frozen backbone, same task, head and seed)
    rose          : max_i s_i >= b + `rise`; a run that never rose is censored: it has no step, not step 0
    step          = first step_i with s_j >= max s - `tolerance` for every j >= i; none if the last s is lower
    target step   = first step_i with s_i >= a target that is common to the runs that are compared
    still rising  : the last s lies more than `tolerance` above s at three quarters of the run

The step of convergence is shown and decides nothing: of a run that still rises at its end it is near the end, and of a
noisy one it is the last random dip, which makes fast and slow runs alike. The time to a common target has neither
fault (`convergence`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from petscale.study.config.analysis import ConvergenceSettings

CONVERGED, NEVER_ROSE, UNSETTLED, NO_CURVE = "converged", "never rose", "unsettled", "no curve"

Array = NDArray[np.float64]


def smooth(dev: Array, window: int) -> Array:
    """Centred running mean; near the ends it averages over fewer evaluations."""
    kernel = np.ones(window)
    total = np.convolve(dev, kernel, mode="same") if len(dev) >= window else None
    if total is None:
        half = window // 2
        return np.array([dev[max(0, i - half) : i + half + 1].mean() for i in range(len(dev))])
    smoothed: Array = total / np.convolve(np.ones(len(dev)), kernel, mode="same")
    return smoothed


def convergence_step(step: Array, dev: Array, baseline: float, rule: ConvergenceSettings) -> tuple[float, str]:
    """Return the step of convergence by the rule above (NaN if censored), and how the run ended.

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


def still_rising(dev: Array, rule: ConvergenceSettings) -> bool:
    """Whether the smoothed dev score still rises over the last quarter of a run by more than the tolerance."""
    if len(dev) < 4:
        return False
    smoothed = smooth(dev, rule.smoothing)
    return bool(smoothed[-1] > smoothed[(3 * (len(dev) - 1)) // 4] + rule.tolerance)


def target_step(step: Array, dev: Array, target: float, rule: ConvergenceSettings) -> float:
    """First step at which the smoothed dev score reaches a target; NaN if none."""
    if len(dev) == 0:
        return np.nan
    reached = np.flatnonzero(smooth(dev, rule.smoothing) >= target)
    return float(step[reached[0]]) if len(reached) else np.nan
