"""The between-method variance is unbiased, its interval has its coverage, and a gap of pure noise is recognised."""

from __future__ import annotations

import math

import numpy as np
import pytest

from petscale.analysis import spread
from petscale.analysis.gaps import shrinkage

METHODS, TASKS, DRAWS = 4, 5, 500
OFFSETS = np.array([-6.0, -2.0, 1.0, 7.0])
NOISE = np.array([2.0, 1.0, 0.5, 0.5])  # methods scatter differently


def _cube(generator: np.random.Generator, scale: float, seeds: int) -> np.ndarray:
    difficulty = np.array([50.0, 60.0, 70.0, 80.0, 90.0])[None, :, None]
    noise = NOISE[:, None, None] * generator.normal(size=(METHODS, TASKS, seeds))
    return difficulty + scale * OFFSETS[:, None, None] + noise


def test_it_is_the_variance_component_of_the_analysis_of_variance() -> None:
    a = np.random.default_rng(0).normal(size=(4, 6)) + OFFSETS[:, None]
    a = a - a.mean(axis=0)
    seeds = a.shape[1]
    between = seeds * a.mean(axis=1).var(ddof=1)
    within = ((a - a.mean(axis=1, keepdims=True)) ** 2).sum() / ((seeds - 1) * (len(a) - 1))
    # The two-way residual equals the one-way one here, since seed means are taken out.
    assert spread.between_variance(a) == pytest.approx((between - within) / seeds)


def test_equal_methods_have_no_spread_on_average_though_they_have_a_gap() -> None:
    generator = np.random.default_rng(1)
    cubes = [spread.per_seed(_cube(generator, 0.0, 3)) for _ in range(DRAWS)]
    variances = [spread.between_variance(cube) for cube in cubes]
    assert abs(np.mean(variances)) < 3 * np.std(variances) / math.sqrt(DRAWS)
    assert np.mean([spread.largest_gap(cube) for cube in cubes]) > 0.5


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize(("small", "large"), [(1.0, 0.0), (1.0, 1.0), (0.0, 0.0), (1.0, 0.3)])
def test_the_shrinkage_interval_covers(seeds: int, small: float, large: float) -> None:
    generator = np.random.default_rng([seeds, int(10 * small), int(10 * large)])
    truth = OFFSETS.var(ddof=1) * (small**2 - large**2)
    inside = 0
    for _ in range(DRAWS):
        estimate = shrinkage([_cube(generator, small, seeds)], [_cube(generator, large, seeds)], 0.95)
        inside += estimate.low <= truth <= estimate.high
    assert inside / DRAWS >= 0.90
    # Where both spreads are nil the interval of a degenerate statistic is wide, which errs on the safe side.
    assert inside / DRAWS <= (1.0 if large == small == 0.0 else 0.99)


def test_the_permutation_null_knows_noise_from_gaps() -> None:
    generator = np.random.default_rng(2)
    equal = [spread.permutation_null(_cube(generator, 0.0, 5), 200, 0).p for _ in range(100)]
    apart = spread.permutation_null(_cube(generator, 1.0, 5), 2_000, 0)
    assert 0.0 <= np.mean(np.array(equal) < 0.05) <= 0.12
    assert apart.p < 0.01
    # Real gaps do not swell the gap of noise: it is that of the same noise without them.
    none = np.mean([spread.largest_gap(spread.per_seed(_cube(generator, 0.0, 5))) for _ in range(100)])
    real = np.mean([spread.permutation_null(_cube(generator, 1.0, 5), 200, 0).mean for _ in range(100)])
    assert real == pytest.approx(none, rel=0.15)


def test_a_missing_cell_does_not_move_a_method_by_the_difficulty_of_its_task() -> None:
    cube = _cube(np.random.default_rng(3), 1.0, 3)
    whole = spread.per_seed(cube).mean(axis=1)
    cube[0, 4, :] = np.nan  # the easiest task of one method
    assert np.abs(np.nanmean(spread.per_seed(cube), axis=1) - whole).max() < 2.5


def test_gaps_are_the_papers_gaps() -> None:
    a = np.array([[1.0, 3.0], [2.0, 2.0], [8.0, 10.0]])
    assert spread.largest_gap(a) == 7.0
    assert spread.smallest_gap(a) == 0.0


def test_one_method_or_one_seed_has_no_spread() -> None:
    assert math.isnan(spread.between_variance(np.zeros((1, 3))))
    assert math.isnan(spread.between_variance(np.zeros((3, 1))))
    assert spread.signed_root(-4.0) == -2.0
