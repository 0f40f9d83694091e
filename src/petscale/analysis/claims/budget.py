"""Claims on parameter thresholds (Su et al. section 5.3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.bounds import Bounds, mean_of, median_of, percentiles
from petscale.analysis.claims.row import (
    NO_EVIDENCE,
    Claim,
    ClaimRow,
    Evidence,
    decided,
    named,
    nothing_learnt,
    undecided,
    worst,
)
from petscale.analysis.interval import Estimate
from petscale.analysis.learnt import Taught
from petscale.analysis.readings import KNOWLEDGE
from petscale.analysis.threshold import Threshold
from petscale.analysis.verdict import (
    Verdict,
    at_least,
    corrected_level,
    decide,
    decide_all,
    only_if_all,
    within,
)

_FACTOR = "log10 of a factor"


def high_falls(evidence: Evidence, claim: Claim) -> ClaimRow:
    """The high threshold of the smallest backbone minus that of the largest, paired by method and task."""
    return _moves(evidence, claim, lambda one: one.high, falls=True)


def low_rises(evidence: Evidence, claim: Claim) -> ClaimRow:
    """The low threshold of the largest backbone minus that of the smallest, paired by method and task."""
    return _moves(evidence, claim, lambda one: one.low, falls=False)


def low_equal_over_methods(evidence: Evidence, claim: Claim) -> ClaimRow:
    """On each backbone, every pair of methods has about the same low threshold, on average over tasks."""
    return _equal(evidence, claim, "method", "task")


def low_equal_over_tasks(evidence: Evidence, claim: Claim) -> ClaimRow:
    """On each backbone, every pair of tasks has about the same low threshold, on average over methods."""
    return _equal(evidence, claim, "task", "method")


def jump(evidence: Evidence, claim: Claim) -> ClaimRow:
    """Just past the low threshold a method reaches the stated share of full, on each backbone.

    By knowledge, the measured baseline is subtracted from both scores.
    """
    least = evidence.settings.threshold.jump_percent
    confidence = evidence.settings.confidence
    counting, counted = _counting(evidence, evidence.backbones, each=True)
    if not counting:
        return _without_sweeps(evidence, claim, counted)
    kept: list[tuple[np.ndarray, int, bool]] = []
    told: list[str] = []
    silent: list[str] = []
    for backbone in evidence.backbones:
        rung = [one for one in counting if one.backbone == backbone]
        shares = [one.jump_above if evidence.reading == KNOWLEDGE else one.jump for one in rung]
        known = [share for share in shares if not np.isnan(share[0])]
        if not known:
            silent += [backbone] if shares else []
            continue
        # A sweep with a censored threshold has no score just past the threshold. A backbone counts against the claim
        # only if no sweep is left out: whether one is depends on its scores.
        draws = np.nanmean(known, axis=0)
        kept.append((draws, min(one.seeds for one in rung), len(known) == len(shares)))
        told.append(f"{backbone} {draws[0]:.0f} % ({len(known)} of {len(shares)} sweeps)")
    if not kept:
        why = f"no low threshold inside a sweep on {', '.join(silent)}" if silent else NO_EVIDENCE
        return undecided(evidence, claim, why, _behind(evidence))

    def verdict(level: float) -> Verdict:
        corrected = corrected_level(level, len(evidence.backbones))
        plain = [percentiles(draws, level, seeds) for draws, seeds, _ in kept]
        against = [percentiles(draws, corrected, seeds) for draws, seeds, whole in kept if whole]
        return only_if_all(decide_all(plain, against, at_least(least)), silent)

    plain = [percentiles(draws, confidence, seeds) for draws, seeds, _ in kept]
    of_what = "of the way from baseline to full" if evidence.reading == KNOWLEDGE else "of full"
    return decided(
        evidence,
        claim,
        verdict,
        statistic=f"mean share {of_what} at the first budget past the low threshold, lowest backbone",
        unit="%",
        estimate=worst(plain),
        rule=f"each interval above {least:g} %; not supported if one below it leaves no sweep out",
        n=f"{len(plain)} backbones, {plain[0].seeds} seeds",
        detail="; ".join(told) + (f"; no low threshold inside a sweep on {', '.join(silent)}" if silent else ""),
        behind=_behind(evidence),
        left_out=counted.said,
    )


def _moves(evidence: Evidence, claim: Claim, which: Callable[[Threshold], Bounds], *, falls: bool) -> ClaimRow:
    factor = evidence.settings.margins.threshold_shift
    margin = math.log10(factor)
    ends = (evidence.smallest, evidence.largest)
    counting, counted = _counting(evidence, ends)
    small, large = (
        {(one.method, one.task): which(one) for one in counting if one.backbone == backbone} for backbone in ends
    )
    places = [place for place in small if place in large]
    if not counting:
        return _without_sweeps(evidence, claim, counted, *ends)
    if not places:
        return undecided(evidence, claim, "needs sweeps on two scales", _behind(evidence, *ends))
    known = [place for place in places if _comparable(small[place], large[place])]
    silent = [f"{method} on {task}" for method, task in places if (method, task) not in known]
    said = f"no threshold inside the sweep on either backbone: {', '.join(silent)}" if silent else "all sweeps compared"
    if not known:
        return undecided(evidence, claim, said, _behind(evidence, *ends))
    torn = sum(one.missing != () for one in counting)
    said += f"; {torn} sweeps lack budgets" if torn else ""
    # A median, because a search often leaves a few percent for a threshold that no budget reaches, and of six searches
    # one would then make most draws of a mean infinite.
    change = median_of([small[p] - large[p] if falls else large[p] - small[p] for p in known])
    estimate = change.estimate(evidence.settings.confidence)
    return decided(
        evidence,
        claim,
        lambda level: decide(change.estimate(level), at_least(margin)),
        statistic=f"median log10 ratio of thresholds, {' over '.join(ends if falls else ends[::-1])}",
        unit=_FACTOR,
        estimate=estimate,
        rule=f"interval above {margin:.2f} (factor {factor:g}); not supported if below it",
        n=f"{len(known)} of {len(places)} sweeps, {estimate.seeds} seeds",
        detail=said,
        behind=_behind(evidence, *ends),
        left_out=counted.said,
    )


def _equal(evidence: Evidence, claim: Claim, over: str, inner: str) -> ClaimRow:
    """Pairs of `over` on each backbone, differences averaged over `inner`."""
    factor = evidence.settings.margins.threshold_factor
    margin = math.log10(factor)
    counting, counted = _counting(evidence, evidence.backbones, each=True)
    if not counting:
        return _without_sweeps(evidence, claim, counted)
    pairs: list[tuple[str, Bounds]] = []
    silent: list[str] = []
    for backbone in evidence.backbones:
        rung = [one for one in counting if one.backbone == backbone]
        for a, b in combinations(means.ordered(getattr(one, over) for one in rung), 2):
            found = _differences(rung, over, inner, a, b)
            if found:
                pairs.append((f"{a} / {b} on {backbone}", mean_of(found)))
            else:
                silent.append(f"{a} / {b} on {backbone}")
    if not pairs:
        why = f"fewer than two {over}s reach a low threshold inside the sweep"
        return undecided(evidence, claim, why, _behind(evidence))

    def at(level: float) -> list[Estimate]:
        return [bounds.estimate(level) for _, bounds in pairs]

    def verdict(level: float) -> Verdict:
        corrected = at(corrected_level(level, len(pairs)))
        return only_if_all(decide_all(at(level), corrected, within(margin)), silent)

    plain = at(evidence.settings.confidence)
    widest = max(range(len(plain)), key=lambda i: _distance(plain[i]))
    return decided(
        evidence,
        claim,
        verdict,
        statistic=f"largest log10 ratio of low thresholds: {pairs[widest][0]}",
        unit=_FACTOR,
        estimate=plain[widest],
        rule=f"each of {len(pairs)} pairs inside a factor {factor:g} (equivalence); not supported if one is outside",
        n=f"{len(pairs)} pairs, {plain[widest].seeds} seeds",
        detail=f"not comparable: {', '.join(silent)}" if silent else "all pairs compared",
        behind=_behind(evidence),
        left_out=counted.said,
    )


def _counting(evidence: Evidence, backbones: Sequence[str], *, each: bool = False) -> tuple[list[Threshold], Taught]:
    """The sweeps on tasks that are learnt on all the backbones, or with `each` on the sweep's own backbone."""
    found: list[Threshold] = []
    total = Taught([], [])
    for some in [[one] for one in backbones] if each else [list(backbones)]:
        counted = evidence.taught(_behind(evidence, *some), some)
        found += [one for one in evidence.thresholds if one.backbone in some and one.task in counted.tasks]
        total.tasks.extend(counted.tasks)
        total.left_out.extend(counted.left_out)
    return found, total


def _without_sweeps(evidence: Evidence, claim: Claim, counted: Taught, *backbones: str) -> ClaimRow:
    behind = _behind(evidence, *backbones)
    return undecided(evidence, claim) if behind.empty else nothing_learnt(evidence, claim, behind, counted)


def _behind(evidence: Evidence, *backbones: str) -> pd.DataFrame:
    """The cells of all sweeps, or of those on some backbones, with their references."""
    sweeps = [one for one in evidence.thresholds if not backbones or one.backbone in backbones]
    return named(evidence, (cell for one in sweeps for cell in one.cells.split(";")))


def _differences(rung: Sequence[Threshold], over: str, inner: str, a: str, b: str) -> list[Bounds]:
    first = {getattr(one, inner): one.low for one in rung if getattr(one, over) == a}
    second = {getattr(one, inner): one.low for one in rung if getattr(one, over) == b}
    shared = [key for key in first if key in second and _comparable(first[key], second[key])]
    return [first[key] - second[key] for key in shared]


def _comparable(a: Bounds, b: Bounds) -> bool:
    """Whether it can be known which of two thresholds is larger; it cannot if both are censored on the same side."""
    return bool(a.seeds and b.seeds) and not (a.censored in ("<=", ">") and a.censored == b.censored)


def _distance(estimate: Estimate) -> float:
    """How far a ratio may lie from 1; a pair without any number counts as the farthest."""
    return math.inf if math.isnan(estimate.value) else abs(estimate.value)
