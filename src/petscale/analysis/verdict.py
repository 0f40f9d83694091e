"""Verdicts: an interval decides whether a claim is supported, not supported or inconclusive.

In each rule `margin` is the smallest effect that matters, as set in the study file. "Not supported" means that the
interval excludes what was claimed; an interval that merely does not support the claim is "inconclusive".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from petscale.analysis.interval import Estimate

Verdict = Literal["supported", "not supported", "inconclusive"]


def increase(estimate: Estimate, margin: float = 0.0) -> Verdict:
    """Decide "the statistic is positive": low > 0 supports it; high < margin excludes an effect that matters."""
    if not estimate.bounded:
        return "inconclusive"
    if estimate.low > 0:
        return "supported"
    return "not supported" if estimate.high < margin else "inconclusive"


def nonzero(estimate: Estimate, margin: float) -> Verdict:
    """Decide "there is an effect": an interval without 0 supports it; one inside (-margin, margin) excludes it."""
    if not estimate.bounded:
        return "inconclusive"
    if estimate.low > 0 or estimate.high < 0:
        return "supported"
    return "not supported" if -margin < estimate.low and estimate.high < margin else "inconclusive"


def at_least(estimate: Estimate, bound: float) -> Verdict:
    """Decide "the statistic reaches the bound": low >= bound supports it; high < bound excludes it."""
    if not estimate.bounded:
        return "inconclusive"
    if estimate.low >= bound:
        return "supported"
    return "not supported" if estimate.high < bound else "inconclusive"


def no_increase(estimate: Estimate, margin: float) -> Verdict:
    """Decide "the statistic does not grow": high < margin supports it; otherwise low > 0 excludes it."""
    if not estimate.bounded:
        return "inconclusive"
    if estimate.high < margin:
        return "supported"
    return "not supported" if estimate.low > 0 else "inconclusive"


def all_at_least(estimates: Sequence[Estimate], corrected: Sequence[Estimate], bound: float) -> Verdict:
    """Decide "every statistic reaches the bound", by an intersection-union test.

    Support needs every uncorrected interval above the bound, and this keeps the level of the test. A single interval
    below the bound speaks against the claim, so these intervals are Bonferroni-corrected.
    """
    if estimates and all(at_least(one, bound) == "supported" for one in estimates):
        return "supported"
    if any(at_least(one, bound) == "not supported" for one in corrected):
        return "not supported"
    return "inconclusive"


def all_equal(estimates: Sequence[Estimate], corrected: Sequence[Estimate], margin: float) -> Verdict:
    """Decide "all differences lie within (-margin, margin)" (equivalence), with the test of `all_at_least`."""
    if estimates and all(one.bounded and -margin < one.low and one.high < margin for one in estimates):
        return "supported"
    if any(one.bounded and (one.low > margin or one.high < -margin) for one in corrected):
        return "not supported"
    return "inconclusive"


def only_if_all(verdict: Verdict, untested: Sequence[object]) -> Verdict:
    """Make a supported claim about all of them inconclusive if some could not be tested."""
    return "inconclusive" if verdict == "supported" and untested else verdict


def corrected_level(confidence: float, tests: int) -> float:
    """Bonferroni correction: the level of each of `tests` intervals that together have the given confidence."""
    return 1 - (1 - confidence) / max(tests, 1)
