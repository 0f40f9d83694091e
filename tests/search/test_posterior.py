"""The posterior of a monotone curve: against sampled curves, a least-squares fit, and truths of other shapes."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

from petscale.search import posterior as model
from petscale.search.posterior import Levels, Posterior, Scores, posterior

LEVELS = Levels(rise=5.0, margin=3.0)
LARGEST = 10_000
BENCH = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "search_coverage.py"))


def scores(budgets: list[float], points: list[float], *, baseline: float = 50.0, full: float = 80.0) -> Scores:
    """Cells and references without noise."""
    return Scores(np.array(budgets), np.array(points), np.full(3, baseline), np.full(3, full))


def test_equals_the_weighting_of_sampled_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """An independent computation: curves are drawn from the prior, each with a noise, and weighted by the scores.

    Both references are known, since all their cells agree. The recursion's curves have levels of 0.36 points.
    """
    monkeypatch.setattr(model, "STEP", 0.5)
    found = scores([10, 10, 100, 1_000, 1_000], [51.0, 60.0, 57.0, 70.0, 81.0])
    made = posterior(found, LEVELS, 1, LARGEST)
    generator = np.random.default_rng(1)
    x = made.low.positions
    draws = 400_000
    top = 31.0 + 0.2 * 30.0
    sigma = generator.choice(np.geomspace(top / 100 / 2, top / 4, 5), draws)
    alpha = generator.choice([1.5, 6.0], draws)
    shares = np.concatenate([[0.1], 0.9 * np.diff(x) / (x[-1] - x[0])])
    curve = np.cumsum(generator.gamma(alpha[:, None] * shares) * (30.0 / alpha[:, None]), axis=1)
    weight = np.ones(draws)
    for budget, score in zip(found.budgets, found.scores, strict=True):
        learnt = stats.t.pdf((score - 50.0 - curve[:, x == np.log10(budget)][:, 0]) / sigma, 4) / sigma
        weight *= 0.95 * learnt + 0.05 / (31.0 + 6.0)
    weight /= weight.sum()
    assert 1 / (weight**2).sum() > 1_000
    for level, threshold in ((5.0, made.low), (27.0, made.high)):
        np.testing.assert_allclose(threshold.reached, weight @ (curve >= level), atol=0.05)


def test_agrees_with_a_least_squares_fit_where_cells_are_many() -> None:
    """Fifty cells of a logistic curve with noise of one point: scipy's fit of that shape crosses there too."""
    generator = np.random.default_rng(2)

    def logistic(x: np.ndarray, middle: float, width: float) -> np.ndarray:
        return 50 + 32 / (1 + np.exp(-(x - middle) / width))

    x = np.linspace(0, 4, 50)
    y = logistic(x, 2.1, 0.25) + generator.normal(0, 1, len(x))
    (middle, width), _ = optimize.curve_fit(logistic, x, y, p0=(2.0, 0.3))
    ends = [level + generator.normal(0, 0.2, 5) for level in (50, 82)]
    made = posterior(Scores(np.round(10**x), y, *ends), LEVELS, 1, LARGEST)
    assert float(made.low.quantile(0.5)) == pytest.approx(middle - width * np.log(32 / 5 - 1), abs=0.12)
    assert float(made.high.quantile(0.5)) == pytest.approx(middle + width * np.log(29 / 3), abs=0.15)
    assert made.noise == pytest.approx(1.0, abs=0.5)
    np.testing.assert_allclose(made.curve, logistic(made.low.positions, middle, width), atol=3)


def test_an_interval_contains_all_that_lies_between_two_budgets() -> None:
    """Baseline at 100 and full at 1,000, without noise: the thresholds may be anywhere between."""
    made = posterior(scores([10, 100, 1_000, 5_000], [50, 50, 80, 80]), LEVELS, 1, LARGEST)
    for threshold in (made.low, made.high):
        low, high = threshold.interval(0.95)
        assert 2.0 < low < 2.1
        assert 2.9 < high < 3.05
        assert float(threshold.quantile(0.5)) == pytest.approx(2.5, abs=0.15)


def test_thresholds_beyond_the_range_are_open_intervals() -> None:
    always = posterior(scores([1, 2, 3, 50, 5_000], [80, 80, 80, 80, 80]), LEVELS, 1, LARGEST)
    assert always.low.interval(0.95) == (-np.inf, 0.0)
    assert always.high.interval(0.95)[0] == -np.inf
    never = posterior(scores([10, 100, 3_000, LARGEST, LARGEST], [50, 50, 50, 50, 50]), LEVELS, 1, LARGEST)
    assert never.low.interval(0.95) == (4.0, np.inf)
    assert float(never.high.quantile(0.5)) == np.inf


def test_a_failed_cell_does_not_move_a_threshold() -> None:
    """One of three cells at full's budget stays at the baseline; the noise has long tails for it."""
    good = [10, 100, 1_000, 1_001, 3_000, 3_001], [50, 50, 80, 80, 80, 80]
    failed = posterior(scores([*good[0], 3_002], [*good[1], 50.0]), LEVELS, 1, LARGEST)
    low, high = failed.low.interval(0.95)
    assert low > 1.9
    assert high < 3.05


def test_learnt_counts_the_noise_of_both_references() -> None:
    """Full is 9 points above the baseline, one more than `rise + margin`; seeds scatter by about 3 points."""
    quiet = posterior(scores([10], [50], full=59), LEVELS, 1, LARGEST)
    assert quiet.learnt > 0.95
    unsure = Scores(np.array([10.0]), np.array([50.0]), np.array([47.0, 50, 53]), np.array([56.0, 59, 62]))
    assert 0.3 < posterior(unsure, LEVELS, 1, LARGEST).learnt < 0.9


def test_a_frozen_backbone_that_always_scores_the_same_tells_nothing_about_the_noise_of_cells() -> None:
    """Cells scatter by 4 points around full's level; three or thirty equal baselines leave their noise as it is."""
    above = [76.0, 84.0, 75.0, 85.0, 79.0, 81.0]
    few, many = (
        posterior(
            Scores(np.arange(100.0, 106.0), np.array(above), np.full(count, 50.0), np.array([76.0, 80.0, 84.0])),
            LEVELS,
            1,
            LARGEST,
        )
        for count in (3, 30)
    )
    assert few.noise == pytest.approx(many.noise)
    assert few.noise > 2


def test_without_references_or_range_there_is_no_search() -> None:
    empty = Scores(np.zeros(0), np.zeros(0), np.zeros(0), np.array([80.0]))
    with pytest.raises(ValueError, match="frozen backbone"):
        posterior(empty, LEVELS, 1, 10)
    with pytest.raises(ValueError, match="no budgets"):
        posterior(scores([5], [50]), LEVELS, 10, 10)


def test_intervals_cover_truths_of_other_shapes() -> None:
    """A small version of benchmarks/search_coverage.py: twelve searches, both thresholds, normal noise.

    At the nominal 95 %, at most three of 24 are missed with a probability of 97 %; the seed is fixed.
    """
    generator = np.random.default_rng(3)
    covered = []
    for shape in [*BENCH["SHAPES"]] * 3:
        truth = BENCH["draw_truth"](shape, generator)
        decision, cells = BENCH["search"](truth, "normal", generator)
        made: Posterior = decision.posterior
        ends = zip((made.low, made.high), truth.thresholds(), strict=True)
        covered += [BENCH["covers"](crossing, true) for crossing, true in ends]
        assert cells <= 12
    assert sum(covered) >= 21
