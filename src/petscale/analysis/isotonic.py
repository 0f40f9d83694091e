"""Monotone fits and the crossings of their interpolation, for many bootstrap draws at once."""

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


def crossing(x: Array, fit: Array, level: Array, holes: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Where the linear interpolation of a non-decreasing fit first reaches a level, as bounds.

    A crossing between two positions is one number, so both bounds are equal. If the fit has reached the level at the
    first position, the crossing is at or below it: (-inf, x_0]. If it never reaches the level, the crossing is above
    the last position: (x_last, inf). Nothing is extrapolated. Nothing is interpolated across a missing position (a
    hole) either: there the bounds are the two positions beside it.

    Args:
        x: ascending positions (log10 of the budget), shape (k,).
        fit: non-decreasing fits, shape (draws, k).
        level: level of each draw, shape (draws,).
        holes: whether a planned position is missing between each two neighbours, shape (k - 1,).

    Returns:
        Lower and upper bound of the crossing, each of shape (draws,).
    """
    reached = fit >= level[:, None]
    any_reached = reached.any(axis=1)
    first = reached.argmax(axis=1)
    after = np.maximum(first, 1)
    rows = np.arange(len(fit))
    y0, y1 = fit[rows, after - 1], fit[rows, after]
    rise = y1 - y0
    share = np.where(rise > 0, (level - y0) / np.where(rise > 0, rise, 1.0), 1.0)
    inside = x[after - 1] + np.clip(share, 0.0, 1.0) * (x[after] - x[after - 1])
    torn = holes[after - 1]
    low = np.where(torn, x[after - 1], inside)
    high = np.where(torn, x[after], inside)
    low = np.where(any_reached, np.where(first == 0, -np.inf, low), x[-1])
    high = np.where(any_reached, np.where(first == 0, x[0], high), np.inf)
    return low, high
