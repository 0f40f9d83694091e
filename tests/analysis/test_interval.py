"""Intervals over seeds have their coverage for studies of the usual size, and one seed gives no interval."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from petscale.analysis.examples import example_variance
from petscale.analysis.interval import difference, jackknife, mean_over_tasks

DRAWS = 500
TASKS = 5


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("shared", [0.0, 0.3, 0.8])
def test_a_95_percent_interval_covers_95_percent(seeds: int, shared: float) -> None:
    generator = np.random.default_rng(seeds * 100 + int(10 * shared))
    spread = np.linspace(0.3, 3.0, TASKS)[:, None]  # tasks scatter differently
    means = np.array([50.0, 60.0, 70.0, 80.0, 90.0])[:, None]
    inside = 0
    for _ in range(DRAWS):
        common = generator.normal(size=(1, seeds)) * math.sqrt(shared)
        own = generator.normal(size=(TASKS, seeds)) * math.sqrt(1 - shared)
        estimate = mean_over_tasks(means + spread * (common + own))
        inside += estimate.low <= 70.0 <= estimate.high
    assert 0.90 <= inside / DRAWS <= 0.99


@pytest.mark.parametrize("seeds", [3, 5])
def test_coverage_holds_with_cells_missing(seeds: int) -> None:
    """A fifth of the cells is missing at random, so some tasks have only one seed."""
    generator = np.random.default_rng(seeds)
    inside = 0
    for _ in range(DRAWS):
        values = 70.0 + generator.normal(size=(TASKS, seeds))
        values[generator.random(values.shape) < 0.2] = np.nan
        estimate = mean_over_tasks(values)
        inside += estimate.low <= 70.0 <= estimate.high
    assert 0.90 <= inside / DRAWS <= 0.99


@pytest.mark.parametrize("seeds", [3, 5])
def test_coverage_holds_for_the_population_of_examples(seeds: int) -> None:
    """The truth is the accuracy on all possible examples; each draw has its own test set and seeds."""
    generator = np.random.default_rng(10 + seeds)
    inside, tasks, n = 0, ["a", "b", "c"], 100
    names = [(t, s) for t in tasks for s in range(seeds)]
    frame = pd.DataFrame({"cell": [f"{t}{s}" for t, s in names], "task": [t for t, _ in names], "score": 80.0})
    for _ in range(DRAWS):
        easy = generator.beta(4, 1, size=(len(tasks), n))  # how easy each example is; the mean is 0.8
        points = 100.0 * (generator.random((seeds, len(tasks), n)) < easy)
        scores = {f"{t}{s}": points[s, i] for i, t in enumerate(tasks) for s in range(seeds)}
        further = example_variance([(frame, 1)], tasks, scores)
        estimate = mean_over_tasks(points.mean(axis=2).T, 0.95, further)
        inside += estimate.low <= 80.0 <= estimate.high
    assert 0.90 <= inside / DRAWS <= 0.99


def test_with_no_cell_missing_it_is_the_t_interval_of_seed_means() -> None:
    values = np.array([[70.0, 72.0, 71.0], [80.0, 85.0, 81.0]])
    means = values.mean(axis=0)
    expected = stats.t.interval(0.95, 2, loc=means.mean(), scale=stats.sem(means))
    estimate = mean_over_tasks(values)
    assert (estimate.low, estimate.high) == pytest.approx(expected)
    assert estimate.seeds == 3


@pytest.mark.parametrize(
    "values",
    [
        [[70.0]],
        [[70.0], [80.0]],
        [[70.0, np.nan], [np.nan, 80.0]],  # two seeds, but one a task
    ],
)
def test_one_seed_gives_no_interval(values: list[list[float]]) -> None:
    estimate = mean_over_tasks(np.array(values), further=4.0)
    assert not estimate.bounded
    assert not math.isnan(estimate.value)


def test_nothing_gives_nothing() -> None:
    assert math.isnan(mean_over_tasks(np.full((2, 3), np.nan)).value)


def test_a_further_variance_widens_and_frees_degrees() -> None:
    values = np.array([[70.0, 71.0, 72.0]])
    plain, wider = mean_over_tasks(values), mean_over_tasks(values, further=100.0)
    assert wider.high - wider.low > plain.high - plain.low
    # When almost all variance is of the further kind, the interval is the normal one.
    assert wider.high - wider.value == pytest.approx(1.96 * wider.se, rel=0.01)


@given(st.lists(st.lists(st.floats(0, 100), min_size=3, max_size=3), min_size=1, max_size=4), st.floats(-50, 50))
@settings(max_examples=50, deadline=None)
def test_shifting_all_scores_shifts_the_interval(values: list[list[float]], shift: float) -> None:
    a, b = mean_over_tasks(np.array(values)), mean_over_tasks(np.array(values) + shift)
    assert b.low == pytest.approx(a.low + shift, abs=1e-6)
    assert b.high == pytest.approx(a.high + shift, abs=1e-6)


def test_the_jackknife_of_a_mean_is_its_t_interval() -> None:
    values = np.array([70.0, 72.0, 75.0])
    estimate = jackknife(lambda chosen: float(values[chosen].mean()), 3)
    expected = stats.t.interval(0.95, 2, loc=values.mean(), scale=stats.sem(values))
    assert (estimate.low, estimate.high) == pytest.approx(expected)


def test_the_jackknife_needs_three_seeds() -> None:
    assert not jackknife(lambda chosen: 1.0, 2).bounded


def test_welch_agrees_with_scipy() -> None:
    a, b = np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.5, 3.0, 7.0])
    ours = difference(mean_over_tasks(a[None]), mean_over_tasks(b[None]))
    theirs = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_examples_of_different_test_sets_are_not_paired() -> None:
    frame = pd.DataFrame({"cell": ["x"], "task": ["t"], "score": [50.0]})
    other = pd.DataFrame({"cell": ["y"], "task": ["t"], "score": [50.0]})
    scores = {"x": np.array([0.0, 100.0]), "y": np.array([0.0, 100.0, 100.0])}
    assert math.isnan(example_variance([(frame, 1), (other, -1)], ["t"], scores))
    assert math.isnan(example_variance([(frame, 1)], ["t"], {}))


def test_equal_predictions_leave_no_variance_of_examples() -> None:
    frame = pd.DataFrame({"cell": ["x"], "task": ["t"], "score": [50.0]})
    scores = {"x": np.array([0.0, 100.0])}
    assert example_variance([(frame, 1), (frame, -1)], ["t"], scores) == 0.0
