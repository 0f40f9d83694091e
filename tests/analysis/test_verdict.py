"""The rules of verdicts: no interval meets two of them, a wider one decides less, and they hold at their limits."""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import inf

import numpy as np
import pytest
from scipy import stats

from petscale.analysis.interval import Estimate, mean_over_tasks
from petscale.analysis.verdict import (
    DECIDED,
    SMALLEST_P,
    Rule,
    adjusted,
    at_least,
    below,
    beyond,
    corrected_level,
    decide,
    decide_all,
    only_if_all,
    p_value,
    within,
)

YES, NO, OPEN = "supported", "not supported", "inconclusive"

ENDS = [-inf, -3.0, -2.0, -1.999, -1.0, -0.001, 0.0, 0.001, 0.217, 0.282, 0.477, 1.0, 1.999, 2.0, 2.001, 3.0, inf]
INTERVALS = list(combinations_with_replacement(ENDS, 2))
RULES = {
    f"{rule.__name__}({margin:g})": rule(margin)
    for rule in (at_least, below, within, beyond)
    for margin in (0.001, 0.477, 1.0, 2.0)
} | {f"{rule.__name__}({bound:g})": rule(bound) for rule in (at_least, below) for bound in (-2.0, 0.0)}


def interval(low: float, high: float) -> Estimate:
    return Estimate(0.0, low, high, 1.0, 3)


NONE = Estimate(0.0, seeds=1)


@pytest.mark.parametrize("name", RULES)
def test_no_interval_meets_two_rules(name: str) -> None:
    """Once an effect that was surely there but too small to matter was supported and excluded by one and the same row.

    The two halves of a rule are asked separately here, so that their order in the code cannot hide an overlap.
    """
    rule = RULES[name]
    for low, high in INTERVALS:
        assert not (rule.inside(low, high) and rule.outside(low, high)), (low, high)


@pytest.mark.parametrize("name", RULES)
def test_a_wider_interval_decides_nothing_else(name: str) -> None:
    """It keeps the verdict or leaves it open, so that a level exists at which a verdict is lost."""
    rule = RULES[name]
    for low, high in INTERVALS:
        for wide_low, wide_high in INTERVALS:
            if wide_low <= low and high <= wide_high:
                wide = decide(interval(wide_low, wide_high), rule)
                assert wide in (OPEN, decide(interval(low, high), rule)), (low, high, wide_low, wide_high)


@pytest.mark.parametrize("name", RULES)
def test_a_number_that_is_known_exactly_is_decided(name: str) -> None:
    for value in ENDS[1:-1]:
        assert decide(interval(value, value), RULES[name]) in DECIDED


def test_an_effect_too_small_to_matter_is_not_supported() -> None:
    """The row "low threshold rises" of the T5 ladder: surely above 0, and surely below the margin."""
    assert decide(interval(0.217, 0.282), at_least(0.477)) == NO


@pytest.mark.parametrize(
    ("rule", "low", "high", "verdict"),
    [
        (at_least(2.0), 2.0, 3.0, YES),
        (at_least(2.0), 1.99, 3.0, OPEN),
        (at_least(2.0), 1.0, 2.0, OPEN),
        (at_least(2.0), 0.5, 1.99, NO),
        (at_least(2.0), 2.0, inf, YES),
        (below(2.0), -1.0, 2.0, OPEN),
        (below(2.0), -1.0, 1.99, YES),
        (below(2.0), 1.99, 3.0, OPEN),
        (below(2.0), 2.0, 3.0, NO),
        (within(2.0), -1.99, 1.99, YES),
        (within(2.0), -2.0, 1.0, OPEN),
        (within(2.0), -1.0, 2.0, OPEN),
        (within(2.0), 2.0, 3.0, NO),
        (within(2.0), -3.0, -2.0, NO),
        (within(2.0), 1.99, 3.0, OPEN),
        (within(2.0), -inf, inf, OPEN),
        (beyond(2.0), 2.0, 3.0, YES),
        (beyond(2.0), -3.0, -2.0, YES),
        (beyond(2.0), -3.0, 3.0, OPEN),
        (beyond(2.0), -1.99, 1.99, NO),
    ],
)
def test_limits(rule: Rule, low: float, high: float, verdict: str) -> None:
    assert decide(interval(low, high), rule) == verdict
    assert decide(NONE, rule) == OPEN


@pytest.mark.parametrize(
    ("ours", "corrected", "verdict"),
    [
        ([(2, 3)], [(2, 3)], YES),
        ([(2, 3), (1.99, 3)], [(2, 3), (1.9, 3)], OPEN),
        ([(2, 3), (1, 1.9)], [(2, 3), (1, 1.99)], NO),
        ([(2, 3), (1, 1.9)], [(2, 3), (1, 2)], OPEN),  # not after correction
        ([], [], OPEN),
        ([], [(1, 1.9)], NO),
    ],
)
def test_all_reach_the_bound(
    ours: list[tuple[float, float]], corrected: list[tuple[float, float]], verdict: str
) -> None:
    assert decide_all([interval(*o) for o in ours], [interval(*c) for c in corrected], at_least(2.0)) == verdict


@pytest.mark.parametrize(
    ("ours", "corrected", "verdict"),
    [
        ([(-1.99, 1.99)], [(-3, 3)], YES),
        ([(-1, 1), (-3, -2)], [(-1, 1), (-3, -1.9)], OPEN),
        ([(-1, 1), (-3, -2.5)], [(-1, 1), (-3, -2.01)], NO),
        ([(-1, 1), (2.5, 3)], [(-1, 1), (2.01, 3)], NO),
        ([], [], OPEN),
    ],
)
def test_all_are_equal(ours: list[tuple[float, float]], corrected: list[tuple[float, float]], verdict: str) -> None:
    """Within two points of each other."""
    assert decide_all([interval(*o) for o in ours], [interval(*c) for c in corrected], within(2.0)) == verdict


def test_without_an_interval_nothing_is_said_of_all() -> None:
    for rule in (at_least(2.0), within(2.0)):
        assert decide_all([NONE], [NONE], rule) == OPEN
    assert decide_all([interval(2.5, 3), NONE], [NONE], at_least(2.0)) == OPEN


def test_a_claim_about_all_needs_all() -> None:
    assert only_if_all("supported", ()) == YES
    assert only_if_all("supported", ("one",)) == OPEN
    assert only_if_all("not supported", ("one",)) == NO
    assert only_if_all("inconclusive", ()) == OPEN


def test_levels_are_divided_by_the_number_of_tests() -> None:
    """Bonferroni: the errors of four tests at 0.9875 sum to at most 0.05. No test at all is like one."""
    assert [corrected_level(0.95, tests) for tests in (0, 1, 2, 4)] == pytest.approx([0.95, 0.95, 0.975, 0.9875])


def test_the_p_value_is_that_of_the_t_test() -> None:
    """An interval excludes the bound at exactly the level of the two-sided t test against it."""
    values = [[3.1, 4.0, 2.2, 5.3, 3.9]]
    estimate = mean_over_tasks(np.array(values))
    for bound in (1.0, 1.5, 6.0):
        expected = stats.ttest_1samp(values[0], bound).pvalue
        found = p_value(lambda level, bound=bound: decide(estimate.at(level), at_least(bound)), 0.95)
        assert found == pytest.approx(max(expected, SMALLEST_P), rel=0.02)
    assert p_value(lambda level: decide(estimate.at(level), at_least(3.5)), 0.95) == 1.0


def test_no_p_value_is_below_a_thousandth() -> None:
    """Half of two thousand bootstrap draws lie on either side, so no interval is wider than theirs."""
    assert p_value(lambda level: "supported" if level < 0.9995 else "inconclusive", 0.95) == 1e-3
    assert p_value(lambda level: "not supported" if level < 0.998 else "inconclusive", 0.95) == pytest.approx(
        2e-3, 0.01
    )


def test_a_verdict_that_just_holds_has_the_p_value_of_its_level() -> None:
    """It is lost at every higher level, and a p value above 1 - 0.95 would say that it does not hold."""
    found = p_value(lambda level: "supported" if level <= 0.95 else "inconclusive", 0.95)
    assert found == pytest.approx(0.05, rel=1e-9)


def test_false_discoveries_are_controlled_by_the_step_up_rule() -> None:
    """The adjusted p of the k-th smallest of m is the least of m p_(j) / j over j >= k; by: times 1 + ... + 1/m."""
    p_values = [0.01, 0.04, 0.03, 1.0, 0.005]
    order = sorted(p_values)
    m = len(order)
    step_up = {p: min(m * order[j] / (j + 1) for j in range(order.index(p), m)) for p in order}
    harmonic = sum(1 / k for k in range(1, m + 1))
    assert adjusted(p_values, "bh") == pytest.approx([min(step_up[p], 1.0) for p in p_values])
    assert adjusted(p_values, "by") == pytest.approx([min(step_up[p] * harmonic, 1.0) for p in p_values])
    assert adjusted([], "bh") == []
