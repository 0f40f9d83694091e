"""Gaps between methods on one backbone, and whether they shrink from the smallest to the largest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from petscale.analysis import spread
from petscale.analysis.interval import Estimate, jackknife
from petscale.analysis.means import account, cube
from petscale.analysis.spread import Cube


def gap_row(
    frame: pd.DataFrame,
    methods: Sequence[str],
    tasks: Sequence[str],
    *,
    permutations: int,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """One row of a gap table: the papers' gaps, their permutation test, and the between-method variance."""
    seeds = sorted(set(frame["seed"]))
    values = cube(frame, methods, tasks, seeds)
    a = spread.per_seed(values)
    null = spread.permutation_null(values, permutations, seed)
    variance = variance_of([values], confidence)
    return {
        "largest_gap": spread.largest_gap(a),
        "smallest_gap": spread.smallest_gap(a),
        "null_gap": null.mean,
        "p": null.p,
        "variance": variance.value,
        "variance_low": variance.low,
        "variance_high": variance.high,
        "sd": spread.signed_root(variance.value),
        "sd_low": spread.signed_root(variance.low),
        "sd_high": spread.signed_root(variance.high),
        "methods": ";".join(methods),
        "tasks": ";".join(tasks),
        "seeds": variance.seeds,
        **account(frame[frame["method"].isin(methods)]),
    }


def variance_of(cubes: Sequence[Cube], confidence: float) -> Estimate:
    """Between-method variance, averaged over groups, with its interval over seeds."""
    return jackknife(lambda chosen: _variance(cubes, chosen), cubes[0].shape[2] if cubes else 0, confidence)


def shrinkage(small: Sequence[Cube], large: Sequence[Cube], confidence: float) -> Estimate:
    """Between-method variance on the smallest minus that on the largest backbone; it is positive if gaps shrink.

    Args:
        small: one cube (methods, tasks, seeds) for each group of methods; the variances are averaged over groups.
        large: the same groups on the largest backbone, with the same seeds.
        confidence: two-sided level.
    """
    if not small or not large:
        return Estimate(np.nan)
    return jackknife(lambda chosen: _variance(small, chosen) - _variance(large, chosen), small[0].shape[2], confidence)


def _variance(cubes: Sequence[Cube], chosen: NDArray[np.intp]) -> float:
    values = [spread.between_variance(spread.per_seed(one[:, :, chosen])) for one in cubes]
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
