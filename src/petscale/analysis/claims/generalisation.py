"""Claims on zero-shot transfer (Su et al. appendix E).

Verdicts rest on what transfers above chance, by rank. The paper's relative performance counts guessing, so that a model
that always answers with the same label reaches more than half of it, and less the better the target is learnt; it is
shown with the value of such a guess beside it and decides nothing.
"""

from __future__ import annotations

import pandas as pd

from petscale.analysis import means
from petscale.analysis.claims.row import Claim, ClaimRow, Evidence, decided, named, not_measurable, undecided, words
from petscale.analysis.interval import Estimate, mean_over_tasks, task_seed_matrix
from petscale.analysis.readings import PUBLISHED
from petscale.analysis.transfer import ABOVE_CHANCE, ACROSS, GUESS, RELATIVE, WITHIN, untaught
from petscale.analysis.verdict import at_least, below, decide


def within_beats_across(evidence: Evidence, claim: Claim) -> ClaimRow:
    """Mean share above chance to targets of the source's type minus that to other types, paired by source cell."""
    if evidence.reading == PUBLISHED:
        return _relative(evidence, claim, (WITHIN, ACROSS))
    margin = evidence.settings.margins.transfer_percent
    known = evidence.ratios.dropna(subset=[ABOVE_CHANCE])
    if known.empty:
        return _without_numbers(evidence, claim)
    known = known.assign(source_of=known["backbone"] + "|" + known["method"] + "|" + known["source"])
    sources, seeds = means.ordered(known["source_of"]), sorted(set(known["seed"]))
    within, across = (
        task_seed_matrix(known[known["relation"] == relation], ABOVE_CHANCE, sources, seeds, stratum="source_of")
        for relation in (WITHIN, ACROSS)
    )
    estimate = mean_over_tasks(within - across, evidence.settings.confidence)
    both = int((~pd.isna(within - across)).any(axis=1).sum())
    if not both:
        why = "no source has learnt targets both within and across types"
        return undecided(evidence, claim, why, _behind(evidence, known))
    parts = [
        f"{end} {float(known.loc[known['relation'] == end, ABOVE_CHANCE].mean()):.0f} %" for end in (WITHIN, ACROSS)
    ]
    return decided(
        evidence,
        claim,
        lambda level: decide(estimate.at(level), at_least(margin)),
        statistic="mean share above chance within minus across types, all backbones",
        unit="percentage points",
        estimate=estimate,
        rule=f"interval above {margin:g}; not supported if below it",
        n=f"{both} sources (backbone x structure x task), {estimate.seeds} seeds",
        detail="; ".join(parts),
        behind=_behind(evidence, known),
        left_out=untaught(evidence.ratios),
    )


def scale_does_not_help(evidence: Evidence, claim: Claim) -> ClaimRow:
    """Mean share above chance across types, largest minus smallest backbone, paired by structure, source and target.

    Where the study has pairs within a type, they are its positive control: if nothing transfers there either, equal
    shares at both sizes say nothing of scale.
    """
    if evidence.reading == PUBLISHED:
        return _relative(evidence, claim, (ACROSS,))
    margin = evidence.settings.margins.transfer_percent
    known = evidence.ratios.dropna(subset=[ABOVE_CHANCE])
    known = known[known["relation"] == ACROSS]
    if known.empty:
        return _without_numbers(evidence, claim)
    known = known.assign(pair=known["method"] + "|" + known["source"] + "|" + known["target"])
    seeds = sorted(set(known["seed"]))
    control = _within(evidence)
    if control.bounded and control.low < margin:
        why = (
            f"not even within a type does anything surely transfer on {evidence.largest} ({words(control, 0)} % above "
            "chance), so that scale could not be seen to help"
        )
        return undecided(evidence, claim, why, _behind(evidence, known))
    ends = {backbone: known[known["backbone"] == backbone] for backbone in (evidence.smallest, evidence.largest)}
    pairs = [pair for pair in means.ordered(known["pair"]) if all(pair in set(end["pair"]) for end in ends.values())]
    small, large = (task_seed_matrix(end, ABOVE_CHANCE, pairs, seeds, stratum="pair") for end in ends.values())
    estimate = mean_over_tasks(large - small, evidence.settings.confidence)
    if not estimate.bounded:
        why = "no two seeds with pairs of tasks that are learnt on both scales"
        return undecided(evidence, claim, why, _behind(evidence, known))
    told = {backbone: end.loc[end["pair"].isin(pairs), ABOVE_CHANCE].mean() for backbone, end in ends.items()}
    return decided(
        evidence,
        claim,
        lambda level: decide(estimate.at(level), below(margin)),
        statistic=f"mean share above chance across types, {evidence.largest} minus {evidence.smallest}",
        unit="percentage points",
        estimate=estimate,
        rule=f"interval below {margin:g}; not supported if above it",
        n=f"{len(pairs)} pairs of tasks x structures, {estimate.seeds} seeds",
        detail="; ".join(f"{backbone} {float(share):.0f} %" for backbone, share in told.items()),
        behind=_behind(evidence, known),
        left_out=untaught(evidence.ratios),
    )


def _within(evidence: Evidence) -> Estimate:
    """Mean share above chance within a type on the largest backbone; without such pairs there is no interval."""
    known = evidence.ratios.dropna(subset=[ABOVE_CHANCE])
    known = known[(known["relation"] == WITHIN) & (known["backbone"] == evidence.largest)]
    pairs = known["method"] + "|" + known["source"] + "|" + known["target"]
    seeds = sorted(set(known["seed"]))
    values = task_seed_matrix(known.assign(pair=pairs), ABOVE_CHANCE, means.ordered(pairs), seeds, stratum="pair")
    return mean_over_tasks(values, evidence.settings.confidence)


def _relative(evidence: Evidence, claim: Claim, relations: tuple[str, ...]) -> ClaimRow:
    """The paper's ratio beside the value of a constant guess; it decides nothing."""
    known = evidence.ratios.dropna(subset=[RELATIVE])
    known = known[known["relation"].isin(relations)]
    why = "the relative performance counts guessing, so it decides nothing"
    told = [
        f"{backbone} {relation} {part[RELATIVE].mean():.0f} % (a constant guess: {part[GUESS].mean():.0f} %)"
        for (backbone, relation), part in means.groups(known, ["backbone", "relation"])
    ]
    return not_measurable(evidence, claim, "; ".join([why, *told]), _behind(evidence, known))


def _without_numbers(evidence: Evidence, claim: Claim) -> ClaimRow:
    behind = _behind(evidence, evidence.ratios)
    left_out = untaught(evidence.ratios)
    if left_out and not (behind["status"] == "missing").any():
        why = "no pair of a source and a target that were both learnt"
        return not_measurable(evidence, claim, why, behind, left_out)
    return undecided(evidence, claim, behind=behind)


def _behind(evidence: Evidence, known: pd.DataFrame) -> pd.DataFrame:
    """The source cells of the transfers."""
    return named(evidence, known["source_cell"])
