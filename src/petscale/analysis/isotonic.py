"""Monotone fits and the budgets between which they cross a level, for many bootstrap draws at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def isotonic_fit(y: Array, weights: Array) -> Array:
    """Least-squares non-decreasing fit, by the max-min formula (equal to pool-adjacent-violators).

        f_k = max_{i <= k} min_{j >= k} (sum_{i..j} w y) / (sum_{i..j} w)

    Args:
        y: values at ascending positions, shape (draws, k).
        weights: positive weights of the positions, shape (k,).

    Returns:
        The fit, shape (draws, k).
    """
    k = y.shape[1]
    sums = np.concatenate([np.zeros((len(y), 1)), np.cumsum(y * weights, axis=1)], axis=1)
    mass = np.concatenate([[0.0], np.cumsum(weights)])
    fit = np.full_like(y, -np.inf)
    for i in range(k):
        averages = (sums[:, i + 1 :] - sums[:, i : i + 1]) / (mass[i + 1 :] - mass[i])  # (draws, k - i)
        lowest = np.minimum.accumulate(averages[:, ::-1], axis=1)[:, ::-1]  # min over j >= position
        fit[:, i:] = np.maximum(fit[:, i:], lowest)
    return fit


def crossing(x: Array, fit: Array, level: Array) -> tuple[Array, Array]:
    """Between which two positions a non-decreasing fit first reaches a level, as bounds.

    What lies between two positions was not measured, so the crossing is known only to lie in (x_k, x_k+1], where x_k+1
    is the first position at which the fit has reached the level. If that is the first position of all, the crossing is
    at or below it: (-inf, x_0]. If the fit never reaches the level, the crossing is above the last position:
    (x_last, inf). Nothing is interpolated or extrapolated, and a missing position only widens the bounds.

    Args:
        x: ascending positions (log10 of the budget), shape (k,).
        fit: non-decreasing fits, shape (draws, k).
        level: level of each draw, shape (draws,).

    Returns:
        Lower and upper bound of the crossing, each of shape (draws,).
    """
    first = (fit < level[:, None]).sum(axis=1)  # the fit does not fall, so this is the first position that reaches it
    ends = np.concatenate([[-np.inf], x, [np.inf]])
    return ends[first], ends[first + 1]
