"""Claims on parameter thresholds (Su et al. section 5.3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.bounds import Bounds, mean_of, percentiles
from petscale.analysis.claims.row import NO_EVIDENCE, ClaimRow, Evidence, named, undecided, worst
from petscale.analysis.threshold import Threshold
from petscale.analysis.verdict import all_at_least, all_equal, corrected_level, increase, only_if_all

_TABLE = "threshold.csv"
_FACTOR = "log10 of a factor"


def high_falls(evidence: Evidence) -> ClaimRow:
    """The high threshold of the smallest backbone minus that of the largest, paired by method and task."""
    return _moves(evidence, "high-falls", "The high threshold falls with scale", lambda one: one.high, falls=True)


def low_rises(evidence: Evidence) -> ClaimRow:
    """The low threshold of the largest backbone minus that of the smallest, paired by method and task."""
    return _moves(
        evidence,
        "low-rises",
        "The low threshold is higher on larger backbones",
        lambda one: one.low,
        falls=False,
    )


def low_equal_over_methods(evidence: Evidence) -> ClaimRow:
    """On each backbone, every pair of methods has about the same low threshold, on average over tasks."""
    return _equal(
        evidence,
        "low-equal-methods",
        "The low threshold is about equal over methods on one backbone",
        "method",
        "task",
    )


def low_equal_over_tasks(evidence: Evidence) -> ClaimRow:
    """On each backbone, every pair of tasks has about the same low threshold, on average over methods."""
    return _equal(
        evidence,
        "low-equal-tasks",
        "The low threshold is about equal over tasks on one backbone",
        "task",
        "method",
    )


def jump(evidence: Evidence, *, above_baseline: bool) -> ClaimRow:
    """Just past the low threshold a method reaches the stated share of full, on each backbone."""
    suffix, tail = ("-above-baseline", ", baseline taken off both") if above_baseline else ("", "")
    least = evidence.settings.threshold.jump_percent
    name, claim = (
        f"jump{suffix}",
        f"Just past the low threshold, {least:g} % or more of full is reached{tail}",
    )
    confidence = evidence.settings.confidence
    plain, corrected, told, silent = [], [], [], []
    for backbone in evidence.backbones:
        shares = [
            one.jump_above if above_baseline else one.jump for one in evidence.thresholds if one.backbone == backbone
        ]
        known = [share for share in shares if not np.isnan(share[0])]
        if not known:
            silent += [backbone] if shares else []
            continue
        # A sweep with a censored threshold has no score just past the threshold.
        draws = np.nanmean(known, axis=0)
        seeds = min(one.seeds for one in evidence.thresholds if one.backbone == backbone)
        plain.append(percentiles(draws, confidence, seeds))
        if len(known) == len(shares):
            # A backbone counts against the claim only if no sweep is left out: whether one is depends on its scores.
            corrected.append(percentiles(draws, corrected_level(confidence, len(evidence.backbones)), seeds))
        told.append(f"{backbone} {plain[-1].value:.0f} % ({len(known)} of {len(shares)} sweeps)")
    if not plain:
        why = f"no low threshold inside a sweep on {', '.join(silent)}" if silent else NO_EVIDENCE
        return undecided(name, claim, evidence, _TABLE, why, _behind(evidence))
    return ClaimRow(
        name,
        claim,
        evidence.ladder,
        "mean share of full at the first budget past the low threshold, lowest backbone",
        "%",
        worst(plain),
        only_if_all(all_at_least(plain, corrected, least), silent),
        f"each interval above {least:g} %; not supported if one below it leaves no sweep out",
        f"{len(plain)} backbones, {plain[0].seeds} seeds",
        "; ".join(told) + (f"; no low threshold inside a sweep on {', '.join(silent)}" if silent else ""),
        _TABLE,
        _behind(evidence),
    )


def _moves(evidence: Evidence, name: str, claim: str, which: Callable[[Threshold], Bounds], *, falls: bool) -> ClaimRow:
    margin = math.log10(evidence.settings.margins.threshold_factor)
    small = {(one.method, one.task): which(one) for one in evidence.thresholds if one.backbone == evidence.smallest}
    large = {(one.method, one.task): which(one) for one in evidence.thresholds if one.backbone == evidence.largest}
    places = [place for place in small if place in large]
    if not evidence.scaled or not places:
        return undecided(name, claim, evidence, _TABLE, "needs sweeps on two scales")
    known = [place for place in places if _comparable(small[place], large[place])]
    silent = [f"{method} on {task}" for method, task in places if (method, task) not in known]
    said = f"no threshold inside the sweep on either backbone: {', '.join(silent)}" if silent else "all sweeps compared"
    if not known:
        return undecided(name, claim, evidence, _TABLE, said, _behind(evidence))
    torn = sum(
        one.missing != () for one in evidence.thresholds if one.backbone in (evidence.smallest, evidence.largest)
    )
    said += f"; {torn} sweeps lack budgets" if torn else ""
    differences = [small[p] - large[p] if falls else large[p] - small[p] for p in known]
    estimate = mean_of(differences).estimate(evidence.settings.confidence)
    direction = (
        f"{evidence.smallest} over {evidence.largest}" if falls else f"{evidence.largest} over {evidence.smallest}"
    )
    return ClaimRow(
        name,
        claim,
        evidence.ladder,
        f"mean log10 ratio of thresholds, {direction}",
        _FACTOR,
        estimate,
        increase(estimate, margin),
        f"interval above 0; not supported if below {margin:.2f} (factor {10**margin:g})",
        f"{len(known)} of {len(places)} sweeps, {estimate.seeds} seeds",
        said,
        _TABLE,
        _behind(evidence, evidence.smallest, evidence.largest),
    )


def _equal(evidence: Evidence, name: str, claim: str, over: str, within: str) -> ClaimRow:
    """Pairs of `over` on each backbone, differences averaged over `within`."""
    factor = evidence.settings.margins.threshold_factor
    pairs: list[tuple[str, Bounds]] = []
    silent: list[str] = []
    for backbone in evidence.backbones:
        rung = [one for one in evidence.thresholds if one.backbone == backbone]
        for a, b in combinations(means.ordered(getattr(one, over) for one in rung), 2):
            found = _differences(rung, over, within, a, b)
            if found:
                pairs.append((f"{a} / {b} on {backbone}", mean_of(found)))
            else:
                silent.append(f"{a} / {b} on {backbone}")
    if not pairs:
        return undecided(
            name,
            claim,
            evidence,
            _TABLE,
            f"fewer than two {over}s reach a low threshold inside the sweep",
            _behind(evidence),
        )
    confidence = evidence.settings.confidence
    plain = [bounds.estimate(confidence) for _, bounds in pairs]
    level = corrected_level(confidence, len(pairs))
    margin = math.log10(factor)
    verdict = only_if_all(all_equal(plain, [bounds.estimate(level) for _, bounds in pairs], margin), silent)
    widest = max(range(len(plain)), key=lambda i: abs(plain[i].value))
    return ClaimRow(
        name,
        claim,
        evidence.ladder,
        f"largest log10 ratio of low thresholds: {pairs[widest][0]}",
        _FACTOR,
        plain[widest],
        verdict,
        f"each of {len(pairs)} pairs inside a factor {factor:g} (equivalence)",
        f"{len(pairs)} pairs, {plain[widest].seeds} seeds",
        f"not comparable: {', '.join(silent)}" if silent else "all pairs compared",
        _TABLE,
        _behind(evidence),
    )


def _behind(evidence: Evidence, *backbones: str) -> pd.DataFrame:
    """The cells of all sweeps, or of those on some backbones, with their references."""
    sweeps = [one for one in evidence.thresholds if not backbones or one.backbone in backbones]
    return named(evidence, (cell for one in sweeps for cell in one.cells.split(";")))


def _differences(rung: Sequence[Threshold], over: str, within: str, a: str, b: str) -> list[Bounds]:
    first = {getattr(one, within): one.low for one in rung if getattr(one, over) == a}
    second = {getattr(one, within): one.low for one in rung if getattr(one, over) == b}
    shared = [key for key in first if key in second and _comparable(first[key], second[key])]
    return [first[key] - second[key] for key in shared]


def _comparable(a: Bounds, b: Bounds) -> bool:
    """Whether it can be known which of two thresholds is larger; it cannot if both are censored on the same side."""
    return bool(a.seeds and b.seeds) and not (a.censored in ("<=", ">") and a.censored == b.censored)
