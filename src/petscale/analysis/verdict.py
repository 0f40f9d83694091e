"""Three-way verdicts: a claim is supported, not supported or inconclusive, and an interval decides which.

In each rule `margin` is the smallest effect that matters, fixed in the study file. "Not supported" is a finding of
its own (the interval excludes what was claimed), never the mere absence of support.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from petscale.analysis.interval import Estimate

Verdict = Literal["supported", "not supported", "inconclusive"]


def increase(estimate: Estimate, margin: float = 0.0) -> Verdict:
    """ "The statistic is positive": low > 0 supports; high < margin excludes an effect that matters."""
    if not estimate.bounded:
        return "inconclusive"
    if estimate.low > 0:
        return "supported"
    return "not supported" if estimate.high < margin else "inconclusive"


def nonzero(estimate: Estimate, margin: float) -> Verdict:
    """ "There is an effect": an interval without 0 supports; one inside (-margin, margin) excludes one that matters."""
    if not estimate.bounded:
        return "inconclusive"
    if estimate.low > 0 or estimate.high < 0:
        return "supported"
    return "not supported" if -margin < estimate.low and estimate.high < margin else "inconclusive"


def at_least(estimate: Estimate, bound: float) -> Verdict:
    """ "The statistic reaches the bound": low >= bound supports; high < bound excludes it."""
    if not estimate.bounded:
        return "inconclusive"
    if estimate.low >= bound:
        return "supported"
    return "not supported" if estimate.high < bound else "inconclusive"


def no_increase(estimate: Estimate, margin: float) -> Verdict:
    """ "It does not grow": high < margin supports; low > 0 with no such bound shows growth."""
    if not estimate.bounded:
        return "inconclusive"
    if estimate.high < margin:
        return "supported"
    return "not supported" if estimate.low > 0 else "inconclusive"


def all_at_least(estimates: Sequence[Estimate], corrected: Sequence[Estimate], bound: float) -> Verdict:
    """ "Every one reaches the bound": an intersection-union test.

    Support needs each plain interval above the bound, which keeps the level without correction; against it, one
    interval below the bound suffices, so those are Bonferroni-corrected.
    """
    if estimates and all(at_least(one, bound) == "supported" for one in estimates):
        return "supported"
    if any(at_least(one, bound) == "not supported" for one in corrected):
        return "not supported"
    return "inconclusive"


def all_equal(estimates: Sequence[Estimate], corrected: Sequence[Estimate], margin: float) -> Verdict:
    """ "All differences lie within (-margin, margin)": equivalence, intersection-union, as in `all_at_least`."""
    if estimates and all(one.bounded and -margin < one.low and one.high < margin for one in estimates):
        return "supported"
    if any(one.bounded and (one.low > margin or one.high < -margin) for one in corrected):
        return "not supported"
    return "inconclusive"


def only_if_all(verdict: Verdict, untested: Sequence[object]) -> Verdict:
    """A claim on every one is not supported by a test of some: what could not be tested leaves it open."""
    return "inconclusive" if verdict == "supported" and untested else verdict


def corrected_level(confidence: float, tests: int) -> float:
    """Bonferroni: the level of each of `tests` intervals that together hold the stated confidence."""
    return 1 - (1 - confidence) / max(tests, 1)
