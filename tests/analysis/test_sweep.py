"""Known thresholds are found and covered by their intervals; those outside a sweep are censored, not extrapolated."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from petscale.analysis.bounds import Bounds, mean_of, percentiles
from petscale.analysis.isotonic import isotonic_fit
from petscale.analysis.sweep import Sweep, fit_sweep

BUDGETS = np.array([4, 16, 64, 256, 1_024, 4_096, 16_384], dtype=float)
RISE, MARGIN = 5.0, 3.0
FROZEN, FULL = 2.0, 90.0
Curve = Callable[[np.ndarray], np.ndarray]


def logistic(middle: float, width: float) -> Curve:
    """From frozen to full, smoothly; width and middle in decades."""
    return lambda x: FROZEN + (FULL - FROZEN) / (1 + np.exp(-(x - middle) / width))


def step(at: float) -> Curve:
    return lambda x: np.where(x < at, FROZEN, FULL)


def plateau(low: float, high: float) -> Curve:
    """A first step to the middle, then a second one to full."""
    return lambda x: FROZEN + (FULL - FROZEN) * (0.5 * (x >= low) + 0.5 * (x >= high))


# None of them has a corner or a threshold on the grid of budgets.
TRUTHS = {
    "logistic": logistic(2.13, 0.2),
    "steep": logistic(2.61, 0.12),
    "step": step(2.2),
    "plateau": plateau(1.47, 3.3),
}


def crossing_of(curve: Curve, level: float) -> float:
    """Where a curve first reaches a level, on a grid a thousand times finer than that of the budgets."""
    fine = np.linspace(0, 6, 60_001)
    return float(fine[np.argmax(curve(fine) >= level)])


def _sweep(generator: np.random.Generator, seeds: int, sd: float = 2.0, curve: Curve = TRUTHS["logistic"]) -> Sweep:
    mean = curve(np.log10(BUDGETS))
    steep = np.where((mean > 10) & (mean < 80), 1.5, 0.5)  # runs scatter most where the curve is steep
    mask = generator.normal(size=seeds)  # masks nest, so a seed is good or bad at all budgets
    noise = sd * steep[:, None] * (0.6 * mask + 0.8 * generator.normal(size=(len(BUDGETS), seeds)))
    references = generator.normal(size=(2, seeds)) * 0.3
    return Sweep(BUDGETS, mean[:, None] + noise, FROZEN + references[0], FULL + references[1])


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("name", TRUTHS)
def test_intervals_of_both_thresholds_cover_truths_that_do_not_sit_on_the_grid(name: str, seeds: int) -> None:
    """Read off straight lines between budgets, a nominal 95 % interval covered the truth in 28 to 54 % of draws."""
    generator, curve = np.random.default_rng(seeds), TRUTHS[name]
    truth = {"low": crossing_of(curve, FROZEN + RISE), "high": crossing_of(curve, FULL - MARGIN)}
    inside = {"low": 0, "high": 0}
    draws = 200
    for _ in range(draws):
        fit = fit_sweep(_sweep(generator, seeds, curve=curve), 300, generator)
        for which, found in (("low", fit.low_threshold(RISE)), ("high", fit.high_threshold(MARGIN))):
            estimate = found.estimate(0.95)
            inside[which] += estimate.low <= truth[which] <= estimate.high
    assert inside["low"] / draws >= 0.90
    assert inside["high"] / draws >= 0.90


def test_more_seeds_do_not_make_a_threshold_more_precise_than_the_grid() -> None:
    fit = fit_sweep(_sweep(np.random.default_rng(0), 50, sd=0.1), 300, np.random.default_rng(0))
    estimate = fit.low_threshold(RISE).estimate(0.95)
    assert estimate.high - estimate.low == pytest.approx(math.log10(4))


def test_without_noise_the_threshold_lies_between_its_two_budgets() -> None:
    fit = fit_sweep(_sweep(np.random.default_rng(0), 3, sd=0.0), 200, np.random.default_rng(0))
    found = fit.low_threshold(RISE)
    truth = crossing_of(TRUTHS["logistic"], FROZEN + RISE)
    assert (10 ** found.low[0], 10 ** found.high[0]) == pytest.approx((16, 64))
    assert found.low[0] < truth < found.high[0]


def test_a_threshold_beyond_the_sweep_is_censored() -> None:
    sweep = _sweep(np.random.default_rng(1), 3)
    high = Sweep(BUDGETS[:4], sweep.scores[:4], sweep.baseline, sweep.full)
    found = fit_sweep(high, 200, np.random.default_rng(0)).high_threshold(MARGIN)
    assert found.censored == ">"
    assert found.point == pytest.approx(math.log10(256))
    assert found.estimate(0.95).high == math.inf
    low = Sweep(BUDGETS[3:], sweep.scores[3:], sweep.baseline, sweep.full)
    found = fit_sweep(low, 200, np.random.default_rng(0)).low_threshold(RISE)
    assert found.censored == "<="
    assert found.estimate(0.95).low == -math.inf
    assert found.estimate(0.95).high == pytest.approx(math.log10(256))


def test_a_missing_budget_widens_the_bounds() -> None:
    sweep = _sweep(np.random.default_rng(2), 3, sd=0.2)
    kept = [0, 1, 3, 4, 5, 6]  # budget 64 is missing
    torn = Sweep(BUDGETS[kept], sweep.scores[kept], sweep.baseline, sweep.full)
    found = fit_sweep(torn, 200, np.random.default_rng(0)).low_threshold(RISE)
    assert (10 ** found.low[0], 10 ** found.high[0]) == pytest.approx((16, 256))


def test_without_a_reference_there_is_no_threshold() -> None:
    sweep = _sweep(np.random.default_rng(3), 3)
    bare = Sweep(BUDGETS, sweep.scores, np.full(3, np.nan), sweep.full)
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


def test_draws_of_another_estimate_are_bounds_too() -> None:
    """A search of budgets delivers draws of its posterior; they compare with the bounds of a grid."""
    searched = Bounds.of_draws(2.0, np.array([1.9, 2.1]), 5)
    grid = Bounds(np.array([1.0, 1.0, 1.0]), np.array([1.5, 1.5, 1.5]), 3)
    less = searched - grid
    assert (less.low.tolist(), less.high.tolist(), less.seeds) == (
        pytest.approx([0.5, 0.4, 0.6]), pytest.approx([1.0, 0.9, 1.1]), 3
    )  # fmt: skip
    assert searched.estimate(0.95).sign == ""


def test_percentiles_leave_undefined_draws_out() -> None:
    draws = np.array([80.0, 70.0, np.nan, 90.0])
    estimate = percentiles(draws, 0.95, seeds=3)
    assert 70.0 <= estimate.low < estimate.high <= 90.0
    assert not percentiles(draws, 0.95, seeds=1).bounded
