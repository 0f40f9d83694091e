"""The rules of verdicts at their very limits, where `<` and `<=` part; the claims' tests stay well inside."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest

from petscale.analysis.interval import Estimate
from petscale.analysis.verdict import (
    Verdict,
    all_at_least,
    all_equal,
    at_least,
    corrected_level,
    increase,
    no_increase,
    nonzero,
    only_if_all,
)

YES, NO, OPEN = "supported", "not supported", "inconclusive"


def interval(low: float, high: float) -> Estimate:
    return Estimate(0.0, low, high, 1.0, 3)


NONE = Estimate(0.0, seeds=1)


@pytest.mark.parametrize(
    ("rule", "low", "high", "verdict"),
    [
        # An increase above 0, where 2 matters.
        (lambda e: increase(e, 2.0), 0.0, 3.0, OPEN),
        (lambda e: increase(e, 2.0), 0.5, 1.0, YES),
        (lambda e: increase(e, 2.0), 0.0, 2.0, OPEN),
        (lambda e: increase(e, 2.0), 0.0, 1.99, NO),
        (lambda e: increase(e), -1.0, 0.0, OPEN),
        (lambda e: increase(e), -1.0, -0.01, NO),
        # An effect, where 2 either way matters.
        (lambda e: nonzero(e, 2.0), 0.0, 3.0, OPEN),
        (lambda e: nonzero(e, 2.0), 0.01, 0.5, YES),
        (lambda e: nonzero(e, 2.0), 0.5, 3.0, YES),
        (lambda e: nonzero(e, 2.0), -3.0, 0.0, OPEN),
        (lambda e: nonzero(e, 2.0), -3.0, -0.5, YES),
        (lambda e: nonzero(e, 2.0), -2.0, 1.0, OPEN),
        (lambda e: nonzero(e, 2.0), -1.0, 2.0, OPEN),
        (lambda e: nonzero(e, 2.0), -1.99, 1.99, NO),
        (lambda e: nonzero(e, 2.0), -1.5, 0.0, NO),
        # At least 2.
        (lambda e: at_least(e, 2.0), 2.0, 3.0, YES),
        (lambda e: at_least(e, 2.0), 1.99, 3.0, OPEN),
        (lambda e: at_least(e, 2.0), 1.0, 2.0, OPEN),
        (lambda e: at_least(e, 2.0), 1.0, 1.99, NO),
        # No increase, where 2 matters.
        (lambda e: no_increase(e, 2.0), -1.0, 2.0, OPEN),
        (lambda e: no_increase(e, 2.0), -1.0, 1.99, YES),
        (lambda e: no_increase(e, 2.0), 0.5, 1.0, YES),
        (lambda e: no_increase(e, 2.0), 0.0, 2.0, OPEN),
        (lambda e: no_increase(e, 2.0), 0.01, 2.0, NO),
    ],
)
def test_limits(rule: Callable[[Estimate], Verdict], low: float, high: float, verdict: str) -> None:
    assert rule(interval(low, high)) == verdict
    assert rule(NONE) == OPEN


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
    assert all_at_least([interval(*o) for o in ours], [interval(*c) for c in corrected], 2.0) == verdict


@pytest.mark.parametrize(
    ("ours", "corrected", "verdict"),
    [
        ([(-1.99, 1.99)], [(-3, 3)], YES),
        ([(-2, 1)], [(-2, 1)], OPEN),
        ([(-1, 2)], [(-1, 2)], OPEN),
        ([(-1, 1), (-3, -2)], [(-1, 1), (-3, -2)], OPEN),
        ([(-1, 1), (-3, -2.5)], [(-1, 1), (-3, -2.01)], NO),
        ([(-1, 1), (2, 3)], [(-1, 1), (2, 3)], OPEN),
        ([(-1, 1), (2.5, 3)], [(-1, 1), (2.01, 3)], NO),
        ([], [], OPEN),
        ([], [(2.01, 3)], NO),
        ([(-inf, inf)], [(-inf, inf)], OPEN),
    ],
)
def test_all_are_equal(ours: list[tuple[float, float]], corrected: list[tuple[float, float]], verdict: str) -> None:
    """Within two points of each other."""
    assert all_equal([interval(*o) for o in ours], [interval(*c) for c in corrected], 2.0) == verdict


def test_without_an_interval_nothing_is_said_of_all() -> None:
    for rule in (all_at_least, all_equal):
        assert rule([NONE], [NONE], 2.0) == OPEN
        assert rule([interval(2.5, 3), NONE], [NONE], 2.0) == OPEN


def test_a_claim_about_all_needs_all() -> None:
    assert only_if_all("supported", ()) == YES
    assert only_if_all("supported", ("one",)) == OPEN
    assert only_if_all("not supported", ("one",)) == NO
    assert only_if_all("inconclusive", ()) == OPEN


def test_levels_are_divided_by_the_number_of_tests() -> None:
    """Bonferroni: the errors of four tests at 0.9875 sum to at most 0.05. No test at all is like one."""
    assert [corrected_level(0.95, tests) for tests in (0, 1, 2, 4)] == pytest.approx([0.95, 0.95, 0.975, 0.9875])
