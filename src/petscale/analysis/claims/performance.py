"""Claims on scores: gaps shrink, every method reaches full fine-tuning, structure matters less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from petscale.analysis import gaps, means, spread
from petscale.analysis.claims.row import NO_EVIDENCE, ClaimRow, Evidence, undecided, words, worst
from petscale.analysis.gaps import LOG_ODDS, POINTS
from petscale.analysis.interval import Estimate
from petscale.analysis.methods import pet_methods
from petscale.analysis.spread import Cube
from petscale.analysis.structure import budget_groups
from petscale.analysis.tidy import asked_by, in_group
from petscale.analysis.verdict import all_at_least, corrected_level, increase, only_if_all

LOG_ODDS_PER_POINT = 0.04  # at 50 %, where one point changes the log-odds least


@dataclass(frozen=True)
class _Claim:
    """One of the claims that gaps shrink with scale, on one scale of scores."""

    claim_id: str
    text: str
    unit: str  # points or log-odds
    table: str  # the CSV table with the numbers behind it


@dataclass(frozen=True)
class _Compared:
    """Scores at both ends of a ladder: in each group of methods that are compared, a cube of its scores."""

    small: list[Cube]
    large: list[Cube]
    methods: list[list[str]]
    tasks: list[str]
    left_out: list[str]
    behind: pd.DataFrame


def gap_shrinks(evidence: Evidence, unit: str) -> ClaimRow:
    """Gaps among PET methods shrink with scale: between-method variance, smallest minus largest backbone."""
    claim = _on_scale("gap-shrinks", "Gaps among PET methods shrink with scale", unit, "gaps.csv")
    asked = asked_by(evidence.cells, "methods")
    methods = pet_methods(asked)
    if not evidence.scaled or len(methods) < 2:
        return _undecided(evidence, claim, "needs two scales and two methods")
    return _shrinkage(evidence, claim, [asked[asked["method"].isin(methods)]])


def structure_matters_less(evidence: Evidence, unit: str) -> ClaimRow:
    """Within groups of equal budget, the gap among PET and APET shrinks with scale."""
    claim = _on_scale("structure-less", "Module structure matters less with scale", unit, "structure_gaps.csv")
    asked = asked_by(evidence.cells, "structure")
    groups = budget_groups(asked)
    if not evidence.scaled or not groups:
        return _undecided(evidence, claim, "needs two scales and a budget group")
    return _shrinkage(evidence, claim, [in_group(asked, group) for group in groups])


def all_reach_full(evidence: Evidence) -> ClaimRow:
    """On the largest backbone every PET method is not inferior to full fine-tuning."""
    name, claim = "reach-full", "All PET methods reach full fine-tuning at the largest scale"
    margin = evidence.settings.margins.full_points
    asked = asked_by(evidence.cells, "methods")
    rung = asked[asked["backbone"] == evidence.largest]
    methods, full = pet_methods(rung), rung[rung["method"] == "full"]
    tasks, left_out = means.common_tasks(rung, ["method"])
    if not methods or full.empty or not tasks:
        return undecided(name, claim, evidence, "methods.csv", behind=rung)

    def differences(confidence: float) -> list[Estimate]:
        return [
            means.paired(rung[rung["method"] == method], full, tasks, confidence, evidence.examples)
            for method in methods
        ]

    confidence = evidence.settings.confidence
    plain = differences(confidence)
    verdict = all_at_least(plain, differences(corrected_level(confidence, len(methods))), -margin)
    fallen = [
        method
        for method in methods
        if means.mean_with_diverged(rung[rung["method"] == method], tasks) - means.mean_with_diverged(full, tasks)
        < -margin
        and (rung.loc[rung["method"] == method, "status"] == "diverged").any()
    ]
    verdict = only_if_all(verdict, fallen)
    named = ", ".join(f"{method} {words(one)}" for method, one in zip(methods, plain, strict=True))
    return ClaimRow(
        name,
        claim,
        evidence.ladder,
        f"lowest mean difference to full on {evidence.largest}",
        "points",
        worst(plain),
        verdict,
        f"each interval above -{margin:g} points (non-inferiority)",
        _n(len(tasks), min(one.seeds for one in plain), f"{len(methods)} methods"),
        named
        + (f"; below full with diverged cells at chance: {', '.join(fallen)}" if fallen else "")
        + _left_out(left_out),
        "methods.csv",
        rung,
    )


def _on_scale(claim_id: str, text: str, unit: str, table: str) -> _Claim:
    """A claim with the name that it has on a scale of scores; points are not named."""
    if unit == POINTS:
        return _Claim(claim_id, text, unit, table)
    return _Claim(f"{claim_id}-log-odds", f"{text} (log-odds)", unit, table)


def _undecided(
    evidence: Evidence, claim: _Claim, why: str = NO_EVIDENCE, behind: pd.DataFrame | None = None
) -> ClaimRow:
    return undecided(claim.claim_id, claim.text, evidence, claim.table, why, behind)


def _compared(evidence: Evidence, groups: Sequence[pd.DataFrame], unit: str) -> _Compared:
    """The scores of each group of cells on the smallest and the largest backbone."""
    seeds = sorted(set(pd.concat(groups)["seed"]))
    found = _Compared([], [], [], [], [], _ends(pd.concat(groups), evidence))
    for group in groups:
        part = _ends(group, evidence)
        methods = means.ordered(group["method"])
        tasks, left_out = means.common_tasks(part, ["backbone", "method"])
        found.methods.append(methods)
        found.tasks.extend(task for task in tasks if task not in found.tasks)
        found.left_out.extend(task for task in left_out if task not in found.left_out)
        for cubes, backbone in ((found.small, evidence.smallest), (found.large, evidence.largest)):
            cubes.append(gaps.on_scale(part[part["backbone"] == backbone], methods, tasks, seeds, unit))
    return found


def _shrinkage(evidence: Evidence, claim: _Claim, groups: Sequence[pd.DataFrame]) -> ClaimRow:
    """Decide whether the variance between the methods of each group falls from the smallest backbone to the largest."""
    unit = claim.unit
    compared = _compared(evidence, groups, unit)
    ends, dropped = _at_both_ends(compared)
    if not ends[0]:
        why = f"no two methods have cells at both ends ({', '.join(dropped)})"
        return _undecided(evidence, claim, why, compared.behind)
    margin = evidence.settings.margins.gap_points * (1 if unit == POINTS else LOG_ODDS_PER_POINT)
    estimate = gaps.shrinkage(ends[0], ends[1], evidence.settings.confidence)
    if np.isnan(estimate.value):
        return _undecided(evidence, claim, behind=compared.behind)
    variances = [gaps.variance_of(end, evidence.settings.confidence).value for end in ends]
    sd = [spread.signed_root(variance) for variance in variances]
    gap = [float(np.nanmean([spread.largest_gap(spread.per_seed(one)) for one in end])) for end in ends]
    digits = 1 if unit == POINTS else 2
    return ClaimRow(
        claim.claim_id,
        claim.text,
        evidence.ladder,
        f"between-method variance, {evidence.smallest} minus {evidence.largest}",
        "points squared" if unit == POINTS else "log-odds squared",
        estimate,
        increase(estimate, _fall(variances[0], margin)),
        f"interval above 0; not supported if it excludes that the sd falls by {margin:g} {unit}",
        _n(len(compared.tasks), estimate.seeds, f"{sum(len(one) for one in ends[0])} bars in {len(ends[0])} group(s)"),
        f"between-method sd {sd[0]:.{digits}f} → {sd[1]:.{digits}f} {unit}; "
        f"largest gap {gap[0]:.{digits}f} → {gap[1]:.{digits}f}"
        + ("" if estimate.bounded else "; no interval: with any seed left out, a method has fewer than two")
        + (f"; not at both ends: {', '.join(dropped)}" if dropped else "")
        + _left_out(compared.left_out),
        claim.table,
        compared.behind,
    )


def _at_both_ends(compared: _Compared) -> tuple[list[list[Cube]], list[str]]:
    """The cubes of the methods that have a score at both ends of the ladder, and the names of the other methods.

    Both variances must be over the same methods: if the worst method were missing only on the largest backbone, the
    gaps there would seem to shrink. A group with fewer than two remaining methods is left out.
    """
    kept: list[list[Cube]] = [[], []]
    dropped: list[str] = []
    for small, large, names in zip(compared.small, compared.large, compared.methods, strict=True):
        known = [bool((~np.isnan(small[i])).any() and (~np.isnan(large[i])).any()) for i in range(len(names))]
        dropped += [name for name, there in zip(names, known, strict=True) if not there]
        if sum(known) >= 2:
            for end, cube in zip(kept, (small, large), strict=True):
                end.append(cube[known])
    return kept, means.ordered(dropped)


def _fall(variance: float, margin: float) -> float:
    """How much the variance falls when the standard deviation falls by the margin (but not below 0)."""
    sd = max(variance, margin**2) ** 0.5
    return float(sd**2 - (sd - margin) ** 2)


def _ends(frame: pd.DataFrame, evidence: Evidence) -> pd.DataFrame:
    return frame[frame["backbone"].isin((evidence.smallest, evidence.largest))]


def _n(tasks: int, seeds: int, more: str) -> str:
    return f"{tasks} tasks x {seeds} seeds, {more}"


def _left_out(tasks: list[str]) -> str:
    return f"; left out for want of cells: {', '.join(tasks)}" if tasks else ""


UNITS = (POINTS, LOG_ODDS)
