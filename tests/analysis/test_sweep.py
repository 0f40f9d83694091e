"""Known thresholds are found and covered by their intervals; those outside a sweep are censored, not extrapolated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from petscale.analysis.bounds import Bounds, mean_of, percentiles
from petscale.analysis.isotonic import crossing, isotonic_fit
from petscale.analysis.sweep import Sweep, fit_sweep

BUDGETS = np.array([4, 16, 64, 256, 1_024, 4_096, 16_384], dtype=float)
CURVE = np.array([2.0, 2.0, 30.0, 70.0, 84.0, 89.5, 90.0])
LOG = np.log10(BUDGETS)
WHOLE = np.zeros(len(BUDGETS) - 1, dtype=bool)
RISE, MARGIN = 5.0, 3.0


def _truth(level: float) -> float:
    low, high = crossing(LOG, CURVE[None], np.array([level]), WHOLE)
    assert low == high
    return float(low[0])


def _sweep(generator: np.random.Generator, seeds: int, sd: float = 2.0) -> Sweep:
    steep = np.array([0.5, 0.5, 2.0, 1.5, 1.0, 0.5, 0.5])  # runs scatter most where the curve is steep
    mask = generator.normal(size=seeds)  # masks nest, so a seed is good or bad at all budgets
    noise = sd * steep[:, None] * (0.6 * mask + 0.8 * generator.normal(size=(len(BUDGETS), seeds)))
    references = generator.normal(size=(2, seeds)) * 0.3
    return Sweep(BUDGETS, CURVE[:, None] + noise, 2.0 + references[0], 90.0 + references[1], WHOLE)


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_of_both_thresholds_cover_the_truth(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    inside = {"low": 0, "high": 0}
    draws = 500
    for _ in range(draws):
        fit = fit_sweep(_sweep(generator, seeds), 300, generator)
        for name, found, level in (
            ("low", fit.low_threshold(RISE), 2.0 + RISE),
            ("high", fit.high_threshold(MARGIN), 90.0 - MARGIN),
        ):
            estimate = found.estimate(0.95)
            inside[name] += estimate.low <= _truth(level) <= estimate.high
    assert 0.90 <= inside["low"] / draws <= 0.99
    assert 0.90 <= inside["high"] / draws <= 0.99


def test_without_noise_the_threshold_is_exact() -> None:
    fit = fit_sweep(_sweep(np.random.default_rng(0), 3, sd=0.0), 200, np.random.default_rng(0))
    assert fit.low_threshold(RISE).point == pytest.approx(_truth(2.0 + RISE), abs=0.02)


def test_a_threshold_beyond_the_sweep_is_censored() -> None:
    sweep = _sweep(np.random.default_rng(1), 3)
    high = Sweep(BUDGETS[:4], sweep.scores[:4], sweep.baseline, sweep.full, WHOLE[:3])
    found = fit_sweep(high, 200, np.random.default_rng(0)).high_threshold(MARGIN)
    assert found.censored == ">"
    assert found.point == pytest.approx(math.log10(256))
    assert found.estimate(0.95).high == math.inf
    low = Sweep(BUDGETS[3:], sweep.scores[3:], sweep.baseline, sweep.full, WHOLE[3:])
    found = fit_sweep(low, 200, np.random.default_rng(0)).low_threshold(RISE)
    assert found.censored == "<="
    assert found.estimate(0.95).low == -math.inf
    assert found.estimate(0.95).high == pytest.approx(math.log10(256))


def test_nothing_is_interpolated_over_a_hole() -> None:
    sweep = _sweep(np.random.default_rng(2), 3)
    kept = [0, 1, 3, 4, 5, 6]  # budget 64 is missing
    holes = np.array([False, True, False, False, False])
    torn = Sweep(BUDGETS[kept], sweep.scores[kept], sweep.baseline, sweep.full, holes)
    found = fit_sweep(torn, 200, np.random.default_rng(0)).low_threshold(RISE)
    assert found.censored == "hole"
    assert (10 ** found.low[0], 10 ** found.high[0]) == pytest.approx((16, 256))


def test_without_a_reference_there_is_no_threshold() -> None:
    sweep = _sweep(np.random.default_rng(3), 3)
    bare = Sweep(BUDGETS, sweep.scores, np.full(3, np.nan), sweep.full, WHOLE)
    found = fit_sweep(bare, 200, np.random.default_rng(0)).low_threshold(RISE)
    assert found.seeds == 0
    assert math.isnan(found.estimate(0.95).value)


def test_one_seed_gives_a_threshold_without_interval() -> None:
    found = fit_sweep(_sweep(np.random.default_rng(4), 1), 200, np.random.default_rng(0)).low_threshold(RISE)
    assert not found.estimate(0.95).bounded
    assert not math.isnan(found.point)


def test_a_budget_with_one_seed_borrows_its_spread() -> None:
    sweep = _sweep(np.random.default_rng(5), 3)
    sweep.scores[2, 1:] = np.nan
    fit = fit_sweep(sweep, 500, np.random.default_rng(0))
    assert fit.curve[1:, 2].std() > 0.1


@given(
    st.lists(st.floats(0, 100), min_size=2, max_size=9),
    st.lists(st.integers(1, 5), min_size=9, max_size=9),
)
@settings(max_examples=100, deadline=None)
def test_the_monotone_fit_agrees_with_scikit_learn(values: list[float], weights: list[int]) -> None:
    y, w = np.array(values), np.array(weights[: len(values)], dtype=float)
    theirs = IsotonicRegression().fit_transform(np.arange(len(y)), y, sample_weight=w)
    assert isotonic_fit(y[None], w)[0] == pytest.approx(theirs, abs=1e-6)


def test_differences_of_censored_thresholds_are_bounds() -> None:
    beyond = Bounds(np.array([2.0, 2.0, 2.0]), np.array([np.inf, np.inf, np.inf]), 3)
    known = Bounds(np.array([1.0, 1.1, 0.9]), np.array([1.0, 1.1, 0.9]), 3)
    estimate = (beyond - known).estimate(0.95)
    assert estimate.low == pytest.approx(0.9)
    assert estimate.high == math.inf
    assert (beyond - beyond).estimate(0.95).low == -math.inf
    assert mean_of([known, known]).point == pytest.approx(1.0)


def test_percentiles_leave_undefined_draws_out() -> None:
    draws = np.array([80.0, 70.0, np.nan, 90.0])
    estimate = percentiles(draws, 0.95, seeds=3)
    assert 70.0 <= estimate.low < estimate.high <= 90.0
    assert not percentiles(draws, 0.95, seeds=1).bounded
