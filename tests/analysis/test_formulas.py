"""The formulas of the analysis written a second time with loops and plain numbers, and by hand at their limits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from petscale.analysis.bounds import Bounds, mean_of, median_of, percentiles
from petscale.analysis.convergence_rule import (
    CONVERGED,
    NEVER_ROSE,
    UNSETTLED,
    convergence_step,
    smooth,
    still_rising,
    target_step,
)
from petscale.analysis.interval import Estimate, difference, jackknife, mean_over_tasks, task_seed_matrix
from petscale.analysis.isotonic import crossing, isotonic_fit
from petscale.analysis.threshold import best_rates, tuned
from petscale.study.config.analysis import ConvergenceSettings

NAN, INF = math.nan, math.inf

# Intervals -----------------------------------------------------------------------------------------------


def by_loops(values: list[list[float]], confidence: float, further: float) -> tuple[float, ...] | float:
    """Estimate, half width and standard error of `mean_over_tasks`, from its docstring; the estimate alone if none."""
    rows = [row for row in values if not all(map(math.isnan, row))]
    seeds = [s for s in range(len(values[0])) if not all(math.isnan(row[s]) for row in rows)]
    rows = [[row[s] for s in seeds] for row in rows]
    known = [[y for y in row if not math.isnan(y)] for row in rows]
    means = [sum(row) / len(row) for row in known]
    estimate = sum(means) / len(means)
    if len(seeds) < 2 or max(map(len, known)) < 2:
        return estimate
    v = 0.0
    for s in range(len(seeds)):
        c = 0.0
        for row, mean, have in zip(rows, means, known, strict=True):
            if len(have) > 1 and not math.isnan(row[s]):
                c += (row[s] - mean) / (len(rows) * math.sqrt(len(have) * (len(have) - 1)))
        v += c * c
    own = [sum((y - m) ** 2 for y in row) / (len(row) - 1) for row, m in zip(known, means, strict=True) if len(row) > 1]
    v += sum(len(row) == 1 for row in known) * (sum(own) / len(own)) / len(rows) ** 2
    both = v + (0.0 if math.isnan(further) else further)
    quantile = stats.t(df=(len(seeds) - 1) * both**2 / v**2).ppf((1 + confidence) / 2)
    return estimate, quantile * math.sqrt(both), math.sqrt(both)


@pytest.mark.parametrize("further", [NAN, 0.0, 0.7])
@pytest.mark.parametrize(
    "values",
    [
        [[1.0, 4.0]],
        [[1.0, 4.0, 6.0], [7.0, 2.0, 3.0]],
        [[1.0, 4.0, 6.0], [7.0, NAN, 3.0], [NAN, 5.0, NAN]],  # two, one and no seed missing
        [[1.0, NAN, 6.0], [NAN, NAN, NAN], [2.0, NAN, 9.0]],  # a task and a seed that are not there at all
        [[1.0, 2.0, NAN, NAN], [5.0, NAN, 3.0, NAN], [NAN, NAN, NAN, 8.0], [NAN, 4.0, NAN, NAN]],
    ],
)
def test_mean_over_tasks_by_loops(values: list[list[float]], further: float) -> None:
    found = mean_over_tasks(np.array(values), 0.9, further)
    expected = by_loops(values, 0.9, further)
    assert isinstance(expected, tuple)
    estimate, half, se = expected
    assert (found.value, found.low, found.high, found.se) == pytest.approx(
        (estimate, estimate - half, estimate + half, se)
    )
    assert found.wider == (not math.isnan(further))
    assert found.seeds == sum(not all(math.isnan(row[s]) for row in values) for s in range(len(values[0])))


def test_fewer_than_two_seeds() -> None:
    for values, seeds in (([[3.0]], 1), ([[3.0], [5.0]], 1), ([[3.0, NAN], [NAN, 5.0]], 1)):
        found = mean_over_tasks(np.array(values), 0.9, 2.0)
        assert (found.value, found.seeds, found.bounded, found.wider) == (
            by_loops(values, 0.9, 2.0),
            seeds,
            False,
            False,
        )


def test_seeds_that_agree_have_an_interval_of_no_width_unless_there_is_a_further_variance() -> None:
    same = np.full((2, 3), 4.0)
    assert (mean_over_tasks(same).low, mean_over_tasks(same).high) == (4.0, 4.0)
    normal = stats.norm.ppf(0.975) * 0.3
    found = mean_over_tasks(same, further=0.09)
    assert (found.low, found.high) == pytest.approx((4 - normal, 4 + normal))


def test_jackknife_by_hand() -> None:
    """The square of the mean of 1, 2, 4 and 9: leaving each out gives 25, 196/9, 16 and 49/9."""
    values = np.array([1.0, 2.0, 4.0, 9.0])
    found = jackknife(lambda chosen: float(values[chosen].mean() ** 2), 4, 0.9)
    left = [25, 196 / 9, 16, 49 / 9]
    se = math.sqrt(3 / 4 * sum((one - sum(left) / 4) ** 2 for one in left))
    half = stats.t.ppf(0.95, 3) * se
    assert (found.value, found.low, found.high, found.se, found.seeds) == pytest.approx(
        (16, 16 - half, 16 + half, se, 4)
    )


def test_a_further_variance_is_added_to_the_jackknife_s() -> None:
    """The mean of 1, 2, 4 and 9 has a variance of 38 / (4 x 3), and 0.5 more."""
    values = np.array([1.0, 2.0, 4.0, 9.0])
    found = jackknife(lambda chosen: float(values[chosen].mean()), 4, 0.9, 0.5)
    assert found.se**2 == pytest.approx(38 / 12 + 0.5)
    assert found.high - 4.0 == pytest.approx(stats.t.ppf(0.95, 3) * found.se)


def test_an_interval_of_another_level() -> None:
    """It has the t quantile of its own degrees of freedom; an interval of another kind has no other level."""
    found = mean_over_tasks(np.array([[1.0, 2.0, 4.0, 9.0]]), 0.9).at(0.5)
    half = stats.t.ppf(0.75, 3) * found.se
    assert (found.low, found.high) == pytest.approx((4 - half, 4 + half))
    for fixed in (Estimate(1.0, 0.0, 3.0, 1.0, 3), Estimate(1.0, degrees=2.0), Estimate(1.0, -INF, 3.0, 1.0, 3)):
        assert fixed.at(0.5) is fixed


def test_jackknife_of_three_has_an_interval_and_of_what_is_undefined_none() -> None:
    assert jackknife(lambda chosen: float(chosen.sum()), 3).bounded
    for statistic in (lambda chosen: NAN, lambda chosen: 1.0 if len(chosen) == 3 or 0 in chosen else NAN):
        found = jackknife(statistic, 3)
        assert not found.bounded and found.seeds == 3


def test_difference_by_hand() -> None:
    """Welch: variances 4 and 9 with 2 and 4 degrees of freedom."""
    a, b = Estimate(10.0, 0.0, 20.0, 2.0, 3), Estimate(4.0, 0.0, 8.0, 3.0, 5)
    found = difference(a, b, 0.9)
    half = stats.t.ppf(0.95, (4 + 9) ** 2 / (4**2 / 2 + 9**2 / 4)) * math.sqrt(13)
    assert (found.value, found.low, found.high, found.se) == pytest.approx((6, 6 - half, 6 + half, math.sqrt(13)))
    assert found.seeds == 3
    for one, other in ((a, Estimate(4.0, seeds=1)), (Estimate(10.0, seeds=1), b)):
        open_ = difference(one, other)
        assert (open_.value, open_.bounded, open_.seeds) == (6.0, False, 1)
    exact = Estimate(1.0, 1.0, 1.0, 0.0, 2)
    assert difference(a, a).value == 0 and difference(a, a).low < 0
    none = difference(exact, exact)
    assert (none.value, none.low, none.high, none.se, none.seeds) == (0.0, 0.0, 0.0, 0.0, 2)


@pytest.mark.parametrize(
    ("low", "high", "bounded"), [(1.0, 2.0, True), (NAN, 2.0, False), (1.0, NAN, False), (-INF, INF, True)]
)
def test_an_interval_needs_both_ends(low: float, high: float, bounded: bool) -> None:
    assert Estimate(1.5, low, high).bounded == bounded
    assert Estimate(1.5).seeds == 0


def test_values_become_a_matrix() -> None:
    """Repeats are averaged, strangers are left out, and a score that is no number counts as absent."""
    rows = [("a", 1, 3.0), ("a", 1, 5.0), ("b", 2, 7.0), ("b", 1, NAN), ("c", 1, 9.0), ("a", 3, 9.0), ("a", 2, 0.0)]
    frame = pd.DataFrame(rows, columns=["task", "seed", "score"])
    with np.errstate(all="raise"):
        found = task_seed_matrix(frame, "score", ["b", "a"], [1, 2])
    np.testing.assert_array_equal(found, [[NAN, 7.0], [4.0, 0.0]])
    other = task_seed_matrix(frame.rename(columns={"task": "budget"}), "score", ["c"], [1], stratum="budget")
    assert other.tolist() == [[9.0]]


# Thresholds ----------------------------------------------------------------------------------------------

X = np.array([0.0, 1.0, 3.0])


@pytest.mark.parametrize(
    ("fit", "level", "expected"),
    [
        ([0, 10, 20], 5, (0, 1)),
        ([0, 10, 20], 10, (0, 1)),
        ([0, 10, 20], 10.1, (1, 3)),
        ([0, 10, 20], 15, (1, 3)),
        ([0, 10, 20], 20, (1, 3)),
        ([0, 10, 20], 20.1, (3, INF)),
        ([0, 10, 20], 0, (-INF, 0)),
        ([0, 10, 20], -5, (-INF, 0)),
        ([0, 0, 10], 5, (1, 3)),
        ([4, 4, 4], 4, (-INF, 0)),
        ([4, 4, 4], 5, (3, INF)),
    ],
)
def test_crossings_by_hand(fit: list[float], level: float, expected: tuple[float, float]) -> None:
    """Beside draws that cross elsewhere, which must not get in each other's way."""
    others = [[0.0, 1.0, 2.0], [7.0, 8.0, 9.0]]
    fits, levels = np.array([others[0], fit, others[1]], dtype=float), np.array([9.0, level, 8.5])
    low, high = crossing(X, fits, levels)
    assert (low[1], high[1]) == expected
    assert (low[0], high[0], low[2], high[2]) == (3, INF, 1, 3)


@given(st.lists(st.lists(st.integers(0, 20), min_size=4, max_size=4), min_size=1, max_size=3), st.data())
def test_the_monotone_fit_of_several_draws_is_the_max_min_formula(draws: list[list[int]], data: Any) -> None:
    weights = data.draw(st.lists(st.integers(1, 4), min_size=4, max_size=4))

    def average(y: list[int], i: int, j: int) -> float:
        return sum(w * v for w, v in zip(weights[i : j + 1], y[i : j + 1], strict=True)) / sum(weights[i : j + 1])

    expected = [
        [max(min(average(y, i, j) for j in range(k, 4)) for i in range(k + 1)) for k in range(4)] for y in draws
    ]
    found = isotonic_fit(np.array(draws, dtype=float), np.array(weights, dtype=float))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def bounds(low: list[float], high: list[float], seeds: int = 3) -> Bounds:
    return Bounds(np.array(low), np.array(high), seeds)


@pytest.mark.parametrize(
    ("low", "high", "censored", "point"),
    [
        (2, 2, "", 2),
        (-INF, 4, "<=", 4),
        (4, INF, ">", 4),
        (2, 5, "", 3.5),
        (-INF, INF, "<=", NAN),
        (NAN, NAN, "", NAN),
    ],
)
def test_censoring_and_point(low: float, high: float, censored: str, point: float) -> None:
    """It is the estimate that is censored or not, whatever its draws are."""
    one = bounds([low, -INF, 7.0, 1.0], [high, INF, INF, 9.0])
    assert one.censored == censored
    assert one.point == pytest.approx(point, nan_ok=True)


@pytest.mark.parametrize(
    ("low", "high", "sign"), [(2, 5, ""), (-INF, 4, "<="), (4, INF, ">="), (-INF, INF, ""), (3, 3, "")]
)
def test_a_bound_carries_its_sign(low: float, high: float, sign: str) -> None:
    """Bounds were printed as estimates: a mean threshold ratio of -0.03 was only an upper bound."""
    one = bounds([low, 1.0, 2.0], [high, 3.0, 4.0])
    assert one.sign == one.estimate(0.9).sign == sign
    assert bounds([low], [high]).estimate(0.9).sign == sign


def test_the_interval_of_bounds_takes_each_end_from_its_own_draws() -> None:
    """Of 20 draws at 90 % the lowest and the highest one are left out, by order and without interpolation."""
    low, high = [float(n) for n in range(20)], [100.0 + n for n in range(20)]
    one = bounds([50.0, *low[::-1]], [500.0, *high[::-1]])
    found = one.estimate(0.9)
    assert (found.value, found.low, found.high, found.seeds) == (275.0, 0.0, 118.0, 3)
    assert math.isnan(found.se)
    assert bounds([50.0, *low], [60.0, *high], seeds=2).estimate(0.9).bounded
    for none in (bounds([1.0, 2.0], [1.0, 2.0], seeds=1), bounds([1.0], [1.0]), bounds([1.0, NAN], [1.0, 2.0])):
        assert not none.estimate(0.9).bounded
        assert (none.estimate(0.9).value, none.estimate(0.9).seeds) == (1.0, none.seeds)
    assert bounds([1.0, 2.0], [1.0, 2.0]).estimate(0.9).bounded  # a single draw


def test_sums_of_bounds_take_the_worst_of_both() -> None:
    a, b = bounds([1.0, 4.0], [3.0, 9.0], seeds=3), bounds([0.5, 1.0], [2.0, 8.0], seeds=2)
    less = a - b
    assert (less.low.tolist(), less.high.tolist(), less.seeds) == ([-1.0, -4.0], [2.5, 8.0], 2)
    mean = mean_of([a, b])
    assert (mean.low.tolist(), mean.high.tolist(), mean.seeds) == ([0.75, 2.5], [2.5, 8.5], 2)


def test_one_open_end_does_not_take_the_end_of_a_median() -> None:
    """Three thresholds, of which one was never reached; of two, the open end of one is that of the median."""
    known, higher, never = (
        bounds([1.0, 2.0], [1.5, 2.5]),
        bounds([3.0, 4.0], [3.5, 4.5]),
        bounds([5.0, 5.0], [INF, INF]),
    )
    median = median_of([known, never, higher])
    assert (median.low.tolist(), median.high.tolist(), median.seeds) == ([3.0, 4.0], [3.5, 4.5], 3)
    assert median_of([known, higher]).low.tolist() == [2.0, 3.0]  # of an even number, the mean of the middle two
    assert median_of([known, never]).high.tolist() == [INF, INF]
    assert mean_of([known, never, higher]).high.tolist() == [INF, INF]


def test_percentiles_by_hand() -> None:
    """The draws 0, ..., 100 at 90 %: from 5 to 95. The estimate stands apart, and is no draw."""
    draws = np.array([1_000.0, *range(101), NAN])
    found = percentiles(draws, 0.9, 2)
    assert (found.value, found.low, found.high, found.seeds) == pytest.approx((1_000.0, 5.0, 95.0, 2))
    assert math.isnan(found.se)
    for none in (
        percentiles(draws, 0.9, 1),
        percentiles(np.array([7.0, NAN]), 0.9, 3),
        percentiles(np.array([7.0]), 0.9, 3),
    ):
        assert not none.bounded
    assert percentiles(draws, 0.9, 1).value == 1_000.0
    assert percentiles(np.array([7.0, NAN]), 0.9, 3).seeds == 3
    assert percentiles(np.array([7.0, 3.0]), 0.9, 3).low == 3.0  # one draw is enough


def swept(*cells: tuple[float, float, float, str]) -> pd.DataFrame:
    """Cells of one sweep by budget, rate, dev score and status."""
    common = {"ladder": "l", "backbone": "b", "scale": 0, "display": "b", "task": "t", "kind": "k", "method": "m"}
    names = ("budget", "learning_rate", "dev", "status")
    return pd.DataFrame([{**common, **dict(zip(names, cell, strict=True))} for cell in cells])


def test_each_budget_takes_the_rate_with_the_best_median() -> None:
    """A diverged cell counts as 0: two of three that diverge lose a rate its place, one of three does not."""
    found = best_rates(
        swept(
            *((8, 0.1, dev, "done") for dev in (50.0, 60.0, 95.0)),
            *((8, 0.2, dev, "done") for dev in (61.0, 62.0)),
            (8, 0.2, NAN, "diverged"),
            *((64, 0.1, dev, "done") for dev in (10.0, 20.0, 30.0)),
            (64, 0.2, 90.0, "done"),
            *((64, 0.2, NAN, "diverged") for _ in range(2)),
        )
    )
    assert {(row.budget, row.learning_rate) for row in found.itertuples()} == {(8, 0.2), (64, 0.1)}
    assert len(found) == 6 and found["complete"].all()


def test_a_diverged_cell_counts_as_nothing_and_not_as_less() -> None:
    """Half a point beats it, no point does not: of equal medians the lower rate is taken."""
    lost = [(8, 0.1, NAN, "diverged")] * 2
    assert best_rates(swept(*lost, (8, 0.2, 0.5, "done")))["learning_rate"].tolist() == [0.2]
    assert best_rates(swept(*lost, (8, 0.2, 0.0, "done")))["learning_rate"].tolist() == [0.1, 0.1]


def test_a_rate_without_a_score_leaves_the_best_one_open() -> None:
    found = best_rates(swept((8, 0.1, 50.0, "done"), (8, 0.2, NAN, "absent")))
    assert (found["learning_rate"].tolist(), found["complete"].tolist()) == ([0.1], [False])
    found = best_rates(swept((8, 0.1, NAN, "absent"), (8, 0.2, NAN, "absent")))
    assert (sorted(found["learning_rate"]), found["complete"].tolist()) == ([0.1, 0.2], [False, False])
    found = best_rates(swept((8, 0.1, 50.0, "done"), (8, NAN, NAN, "absent")))  # not even its rate is known
    assert (found["learning_rate"].tolist(), found["complete"].tolist()) == ([0.1], [False])
    assert best_rates(swept((8, 0.1, 1.0, "done")).iloc[:0])["complete"].tolist() == []


def test_full_fine_tuning_is_taken_at_its_best_rate_on_dev_too() -> None:
    """Not the mean of its rates; and while a rate is missing, it has no score."""
    cells = swept(
        (math.nan, 0.1, 60.0, "done"), (math.nan, 0.2, 80.0, "done"), (8, 0.1, 50.0, "done")
    ).assign(method=["full", "full", "m"], head=None, score=[90.0, 70.0, 40.0])  # fmt: skip
    found = tuned(cells)
    assert found[["method", "learning_rate", "score"]].values.tolist() == [["full", 0.2, 70.0], ["m", 0.1, 40.0]]
    unknown = tuned(cells.assign(dev=[60.0, NAN, 50.0], status=["done", "absent", "done"]))
    assert unknown["method"].tolist() == ["full", "m"]
    assert unknown["score"].isna().tolist() == [True, False]


# Convergence ---------------------------------------------------------------------------------------------

SCORES = st.lists(st.integers(0, 12), min_size=1, max_size=9)


def smoothed(dev: list[int], window: int) -> list[float]:
    reach = (window - 1) // 2
    near = [[dev[j] for j in range(len(dev)) if abs(i - j) <= reach] for i in range(len(dev))]
    return [sum(some) / len(some) for some in near]


@given(SCORES, st.sampled_from([1, 3, 5, 7]))
def test_smoothing_by_loops(dev: list[int], window: int) -> None:
    assert smooth(np.array(dev, dtype=float), window).tolist() == pytest.approx(smoothed(dev, window))


@given(SCORES, st.sampled_from([1, 3]), st.integers(0, 6), st.integers(1, 3))
def test_convergence_by_loops(dev: list[int], window: int, baseline: int, tolerance: int) -> None:
    """Whole numbers, so that scores lie on the limits often; a third is no limit of these."""
    rule = ConvergenceSettings(smoothing=window, tolerance=tolerance, rise=4)
    steps = [10.0 * n for n in range(1, len(dev) + 1)]
    s = smoothed(dev, window)
    good = [i for i in range(len(s)) if all(s[j] >= max(s) - tolerance - 1e-9 for j in range(i, len(s)))]
    expected = (
        (NAN, NEVER_ROSE) if max(s) < baseline + 4 - 1e-9 else (steps[good[0]], CONVERGED) if good else (NAN, UNSETTLED)
    )
    if window == 1:
        step, outcome = convergence_step(np.array(steps), np.array(dev, dtype=float), float(baseline), rule)
        assert (step, outcome) == (pytest.approx(expected[0], nan_ok=True), expected[1])
    for target in range(13):
        reached = [step for step, score in zip(steps, s, strict=True) if score >= target + 0.1]
        found = target_step(np.array(steps), np.array(dev, dtype=float), target + 0.1, rule)
        assert found == pytest.approx(reached[0] if reached else NAN, nan_ok=True)


def test_a_target_is_reached_when_it_is_met() -> None:
    rule = ConvergenceSettings(smoothing=1)
    assert target_step(np.array([5.0, 9.0]), np.array([1.0, 2.0]), 2.0, rule) == 9.0


@pytest.mark.parametrize(
    ("dev", "tolerance", "rises"),
    [
        ([0, 0, 0, 0, 0, 0, 5, 5], 0.5, True),  # of eight evaluations the sixth is at three quarters
        ([0, 0, 0, 0, 0, 5, 5, 5], 0.5, False),
        ([0, 0, 0, 0, 0, 0, 5, 5], 4.9, True),
        ([0, 0, 0, 0, 0, 0, 5, 5], 5.0, False),  # by more than the tolerance
        ([0, 0, 0, 5, 4], 0.5, False),
        ([0, 0, 0, 1], 0.5, True),
        ([0, 0, 1], 0.5, False),  # too short to have a last quarter
    ],
)
def test_a_run_that_rises_over_its_last_quarter(dev: list[float], tolerance: float, rises: bool) -> None:
    rule = ConvergenceSettings(smoothing=1, tolerance=tolerance, rise=9.0)
    assert still_rising(np.array(dev, dtype=float), rule) == rises


def test_a_score_at_the_tolerance_is_near_enough() -> None:
    rule = ConvergenceSettings(smoothing=1, tolerance=2.0, rise=4.0)
    steps = np.array([5.0, 9.0, 12.0])
    assert convergence_step(steps, np.array([0.0, 8.0, 10.0]), 0.0, rule) == (9.0, CONVERGED)
    assert convergence_step(steps, np.array([0.0, 10.0, 8.0]), 6.0, rule) == (9.0, CONVERGED)
    assert convergence_step(steps, np.array([0.0, 10.0, 7.5]), 6.0, rule)[1] == UNSETTLED
    assert convergence_step(steps, np.array([0.0, 10.0, 10.0]), 6.01, rule)[1] == NEVER_ROSE
