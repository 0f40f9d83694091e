"""Verdicts: an interval decides whether a claim is supported, not supported or inconclusive.

A claim says that its statistic lies in a set of numbers, such as "at least the margin", where the margin is the
smallest effect that matters and stands in the study file. An interval that lies inside the set supports the claim, and
one that lies outside it excludes the claim; every other interval leaves it inconclusive. No interval can do both, and a
wider interval can only decide less. An effect that is surely there but too small to matter is therefore not supported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from petscale.analysis.interval import Estimate

Verdict = Literal["supported", "not supported", "inconclusive", "not measurable here"]
SUPPORTED: Verdict = "supported"
NOT_SUPPORTED: Verdict = "not supported"
INCONCLUSIVE: Verdict = "inconclusive"
NOT_MEASURABLE: Verdict = "not measurable here"
DECIDED = (SUPPORTED, NOT_SUPPORTED)

SMALLEST_P = 1e-3  # two thousand bootstrap draws tell no smaller one

Ends = Callable[[float, float], bool]
Decide = Callable[[float], Verdict]  # from the level of the intervals to the verdict


@dataclass(frozen=True)
class Rule:
    """The set of numbers in which a claim puts its statistic, asked by the two ends of an interval."""

    inside: Ends  # whether the whole interval lies in the set
    outside: Ends  # whether the whole interval lies outside it


def at_least(bound: float) -> Rule:
    """The claim that the statistic is `bound` or more."""
    return Rule(lambda low, high: low >= bound, lambda low, high: high < bound)


def below(bound: float) -> Rule:
    """The claim that the statistic is less than `bound`."""
    return Rule(lambda low, high: high < bound, lambda low, high: low >= bound)


def within(margin: float) -> Rule:
    """The claim that the statistic lies between -margin and margin (equivalence)."""
    return Rule(
        lambda low, high: -margin < low and high < margin,
        lambda low, high: low >= margin or high <= -margin,
    )


def beyond(margin: float) -> Rule:
    """The claim that the statistic differs from 0 by the margin or more, in either direction."""
    opposite = within(margin)
    return Rule(opposite.outside, opposite.inside)


def decide(estimate: Estimate, rule: Rule) -> Verdict:
    """The verdict of one interval; without an interval nothing is decided."""
    if not estimate.bounded:
        return INCONCLUSIVE
    if rule.inside(estimate.low, estimate.high):
        return SUPPORTED
    return NOT_SUPPORTED if rule.outside(estimate.low, estimate.high) else INCONCLUSIVE


def decide_all(estimates: Sequence[Estimate], corrected: Sequence[Estimate], rule: Rule) -> Verdict:
    """Decide "the rule holds for every statistic", by an intersection-union test.

    Support needs every uncorrected interval, and this keeps the level of the test. A single interval outside the set
    speaks against the claim, so these intervals are Bonferroni-corrected.
    """
    if estimates and all(decide(one, rule) == SUPPORTED for one in estimates):
        return SUPPORTED
    return NOT_SUPPORTED if any(decide(one, rule) == NOT_SUPPORTED for one in corrected) else INCONCLUSIVE


def only_if_all(verdict: Verdict, untested: Sequence[object]) -> Verdict:
    """Make a supported claim about all of them inconclusive if some could not be tested."""
    return INCONCLUSIVE if verdict == SUPPORTED and untested else verdict


def corrected_level(confidence: float, tests: int) -> float:
    """Bonferroni correction: the level of each of `tests` intervals that together have the given confidence."""
    return 1 - (1 - confidence) / max(tests, 1)


def p_value(verdicts: Decide, confidence: float) -> float:
    """Smallest 1 - level at which the verdict is still that at `confidence`; 1 if that decides nothing.

    Wider intervals decide less, so the search is a bisection. The result is exact to a hundredth of itself and never
    below `SMALLEST_P`.
    """
    found = verdicts(confidence)
    if found not in DECIDED:
        return 1.0
    if verdicts(1 - SMALLEST_P) == found:
        return SMALLEST_P
    low, high = SMALLEST_P, 1 - confidence
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if verdicts(1 - middle) == found else (middle, high)
    return high


def adjusted(p_values: Sequence[float], method: Literal["bh", "by"]) -> list[float]:
    """The p values adjusted for the false discovery rate over all of them.

    Args:
        p_values: one for each claim of the table, 1 for those that are not decided.
        method: `bh` (Benjamini and Hochberg 1995) keeps the rate if the claims are independent or depend positively on
            each other, `by` (Benjamini and Yekutieli 2001) however they depend; it needs much smaller p values.
    """
    return [float(p) for p in stats.false_discovery_control(list(p_values), method=method)] if p_values else []
