"""Claims on scores: gaps shrink, every method reaches full fine-tuning, structure matters less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from petscale.analysis import gaps, means, spread
from petscale.analysis.claims.row import (
    Claim,
    ClaimRow,
    Evidence,
    decided,
    nothing_learnt,
    undecided,
    words,
    worst,
)
from petscale.analysis.interval import Estimate
from petscale.analysis.learnt import Taught
from petscale.analysis.methods import pet_methods
from petscale.analysis.spread import Cube
from petscale.analysis.structure import budget_groups
from petscale.analysis.tidy import asked_by, in_group
from petscale.analysis.verdict import Verdict, at_least, corrected_level, decide, decide_all, only_if_all


@dataclass(frozen=True)
class _Compared:
    """Scores at both ends of a ladder: in each group of methods that are compared, a cube of its scores."""

    small: list[Cube]
    large: list[Cube]
    methods: list[list[str]]
    tasks: list[str]
    missing: list[str]  # tasks that some method lacks
    behind: pd.DataFrame


def gap_shrinks(evidence: Evidence, claim: Claim) -> ClaimRow:
    """Gaps among PET methods shrink with scale: between-method variance, smallest minus largest backbone."""
    asked = asked_by(evidence.cells, "methods")
    return _shrinkage(evidence, claim, [asked[asked["method"].isin(pet_methods(asked))]])


def structure_matters_less(evidence: Evidence, claim: Claim) -> ClaimRow:
    """Within groups of equal budget, the gap among PET and APET shrinks with scale."""
    asked = asked_by(evidence.cells, "structure")
    return _shrinkage(evidence, claim, [in_group(asked, group) for group in budget_groups(asked)])


def all_reach_full(evidence: Evidence, claim: Claim) -> ClaimRow:
    """On the largest backbone every PET method is not inferior to full fine-tuning."""
    margin = evidence.settings.margins.full_points
    asked = asked_by(evidence.cells, "methods")
    whole = asked[asked["backbone"] == evidence.largest]
    counted = evidence.taught(whole, [evidence.largest])
    rung = whole[whole["task"].isin(counted.tasks)]
    methods, full = pet_methods(rung), rung[rung["method"] == "full"]
    tasks, missing = means.common_tasks(rung, ["method"])
    if not counted.tasks:
        return nothing_learnt(evidence, claim, whole, counted)
    if not methods or full.empty or not tasks:
        return undecided(evidence, claim, behind=whole)

    def differences(confidence: float) -> list[Estimate]:
        return [one.at(confidence) for one in plain]

    confidence = evidence.settings.confidence
    plain = [
        means.paired(rung[rung["method"] == method], full, tasks, confidence, evidence.examples) for method in methods
    ]
    fallen = [
        method
        for method in methods
        if means.mean_with_diverged(rung[rung["method"] == method], tasks) - means.mean_with_diverged(full, tasks)
        < -margin
        and (rung.loc[rung["method"] == method, "status"] == "diverged").any()
    ]

    def verdict(level: float) -> Verdict:
        corrected = differences(corrected_level(level, len(methods)))
        return only_if_all(decide_all(differences(level), corrected, at_least(-margin)), fallen)

    named = ", ".join(f"{method} {words(one)}" for method, one in zip(methods, plain, strict=True))
    return decided(
        evidence,
        claim,
        verdict,
        statistic=f"lowest mean difference to full on {evidence.largest}",
        unit="points",
        estimate=worst(plain),
        rule=f"each interval above -{margin:g} points (non-inferiority); not supported if one is below",
        n=_n(len(tasks), min(one.seeds for one in plain), f"{len(methods)} methods"),
        detail=named
        + (f"; below full with diverged cells at chance: {', '.join(fallen)}" if fallen else "")
        + _missing(missing),
        behind=whole,
        left_out=counted.said,
    )


def _compared(evidence: Evidence, groups: Sequence[pd.DataFrame], counted: Taught) -> _Compared:
    """The scores of each group of cells on the smallest and the largest backbone, on the tasks that count at both."""
    everything = pd.concat(groups)
    seeds = sorted(set(everything["seed"]))
    found = _Compared([], [], [], [], [], _ends(everything, evidence))
    for group in groups:
        part = _ends(group, evidence)
        part = part[part["task"].isin(counted.tasks)]
        methods = means.ordered(group["method"])
        tasks, missing = means.common_tasks(part, ["backbone", "method"])
        found.methods.append(methods)
        found.tasks.extend(task for task in tasks if task not in found.tasks)
        found.missing.extend(task for task in missing if task not in found.missing)
        for cubes, backbone in ((found.small, evidence.smallest), (found.large, evidence.largest)):
            cubes.append(means.cube(part[part["backbone"] == backbone], methods, tasks, seeds))
    return found


def _shrinkage(evidence: Evidence, claim: Claim, groups: Sequence[pd.DataFrame]) -> ClaimRow:
    """Decide whether the variance between the methods of each group falls from the smallest backbone to the largest."""
    if not groups or pd.concat(groups).empty:
        return undecided(evidence, claim)
    counted = evidence.taught(pd.concat(groups), (evidence.smallest, evidence.largest))
    compared = _compared(evidence, groups, counted)
    if not counted.tasks:
        return nothing_learnt(evidence, claim, compared.behind, counted)
    ends, dropped = _at_both_ends(compared)
    if not ends[0]:
        why = f"no two methods have cells at both ends ({', '.join(dropped)})"
        return undecided(evidence, claim, why, compared.behind)
    margin = evidence.settings.margins.gap_points
    confidence = evidence.settings.confidence
    estimate = gaps.shrinkage(ends[0], ends[1], confidence)
    if np.isnan(estimate.value):
        return undecided(evidence, claim, behind=compared.behind)
    variances = [gaps.variance_of(end, confidence).value for end in ends]
    sd = [spread.signed_root(variance) for variance in variances]
    gap = [float(np.nanmean([spread.largest_gap(spread.per_seed(one)) for one in end])) for end in ends]
    fall = _fall(variances[0], margin)
    return decided(
        evidence,
        claim,
        lambda level: decide(estimate.at(level), at_least(fall)),
        statistic=f"between-method variance, {evidence.smallest} minus {evidence.largest}",
        unit="points squared",
        estimate=estimate,
        rule=f"interval above {fall:.1f} (the sd falls by {margin:g}); not supported if below it",
        n=_n(len(compared.tasks), estimate.seeds, f"{sum(map(len, ends[0]))} bars in {len(ends[0])} group(s)"),
        detail=f"between-method sd {sd[0]:.1f} → {sd[1]:.1f} points; largest gap {gap[0]:.1f} → {gap[1]:.1f}"
        + ("" if estimate.bounded else "; no interval: with any seed left out, a method has fewer than two")
        + (f"; not at both ends: {', '.join(dropped)}" if dropped else "")
        + _missing(compared.missing),
        behind=compared.behind,
        left_out=counted.said,
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


def _missing(tasks: list[str]) -> str:
    return f"; left out for want of cells: {', '.join(tasks)}" if tasks else ""
