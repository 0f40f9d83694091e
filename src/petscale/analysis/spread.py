"""Measures of how much methods differ: the papers' gaps, and a variance that does not grow with noise.

The gap between the largest and the smallest mean is positive even when all methods are equal. Therefore the
between-method variance and a permutation test are computed too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Cube = NDArray[np.float64]  # (methods, tasks, seeds), NaN where a cell is missing


def per_seed(cube: Cube) -> Cube:
    """Mean over tasks after each task's mean is subtracted, then centred within each seed.

    Task means are subtracted first so that a missing cell does not shift a method's mean by the difficulty of its task.

    Returns:
        Array of shape (methods, seeds); NaN where a method has no task at that seed.
    """
    centred = cube - _mean(cube, (0, 2))
    seeds = _mean(centred, (1,))[:, 0, :]
    result: Cube = seeds - _mean(seeds, (0,))
    return result


def between_variance(a: Cube) -> float:
    """Unbiased between-method variance, from products of different seeds only.

        V = M/(M-1) mean_m mean_{s != s'} a[m, s] a[m, s']

    The noise of different seeds is independent, so V has mean 0 when all methods are equal; it can be negative. `a` is
    the result of `per_seed`. If no cell is missing, V is the ANOVA variance component.

    Returns:
        V in squared units; NaN with fewer than two methods or without a pair of seeds for each method.
    """
    present = ~np.isnan(a)
    counts = present.sum(axis=1)
    used = counts > 0
    if used.sum() < 2 or (counts[used] < 2).any():
        return math.nan
    a, counts = a[used], counts[used]
    filled = np.where(present[used], a, 0.0)
    products = (filled.sum(axis=1) ** 2 - (filled**2).sum(axis=1)) / (counts * (counts - 1))
    return float(len(a) / (len(a) - 1) * products.mean())


def signed_root(variance: float) -> float:
    """A variance component as a standard deviation in points, with the sign of the variance."""
    return math.copysign(math.sqrt(abs(variance)), variance)


def largest_gap(a: Cube) -> float:
    """Largest minus smallest method mean, as the papers report it."""
    means = _method_means(a)
    return float(means.max() - means.min()) if len(means) > 1 else math.nan


def smallest_gap(a: Cube) -> float:
    """Smallest difference between any two method means."""
    means = np.sort(_method_means(a))
    return float(np.diff(means).min()) if len(means) > 1 else math.nan


@dataclass(frozen=True)
class Null:
    """The mean of the largest gap that noise alone produces, and the p value of the observed gap."""

    mean: float
    p: float


def permutation_null(cube: Cube, draws: int, seed: int) -> Null:
    """Shuffle the methods within each seed, all tasks of a seed together, and compute the largest gap of each shuffle.

    The p value counts the observed order as one of the draws: (1 + #{null >= observed}) / (1 + draws). For the mean,
    each method's own mean is subtracted before the same shuffles, and the rest is scaled by sqrt(n / (n - 1)) to the
    variance of the noise. Otherwise real differences between methods would enlarge it.
    """
    observed = largest_gap(per_seed(cube))
    if math.isnan(observed):
        return Null(math.nan, math.nan)
    a = per_seed(cube)
    generator = np.random.default_rng(seed)
    methods, seeds = a.shape
    order = generator.random((draws, methods, seeds)).argsort(axis=1)
    gaps = _shuffled_gaps(a, order)
    p = (1 + int((gaps >= observed - 1e-12).sum())) / (1 + draws)
    counts = (~np.isnan(a)).sum(axis=1, keepdims=True)
    if (counts < 2).any():
        return Null(math.nan, p)  # the noise of a method with one seed cannot be estimated
    noise = (a - np.nanmean(a, axis=1, keepdims=True)) * np.sqrt(counts / (counts - 1))
    return Null(float(_shuffled_gaps(noise, order).mean()), p)


def _shuffled_gaps(a: Cube, order: NDArray[np.intp]) -> Cube:
    shuffled = np.take_along_axis(np.broadcast_to(a, order.shape), order, axis=1)
    means = np.nansum(shuffled, axis=2) / np.maximum((~np.isnan(shuffled)).sum(axis=2), 1)
    gaps: Cube = means.max(axis=1) - means.min(axis=1)
    return gaps


def _method_means(a: Cube) -> Cube:
    present = ~np.isnan(a)
    used = present.any(axis=1)
    means: Cube = np.nansum(a[used], axis=1) / present[used].sum(axis=1)
    return means


def _mean(values: Cube, axes: tuple[int, ...]) -> Cube:
    present = ~np.isnan(values)
    if present.all() and values.size:
        whole: Cube = values.mean(axis=axes, keepdims=True)
        return whole
    counts = present.sum(axis=axes, keepdims=True)
    sums = np.where(present, values, 0.0).sum(axis=axes, keepdims=True)
    mean: Cube = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return mean
