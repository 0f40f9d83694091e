"""Claims on zero-shot transfer (Su et al. appendix E)."""

from __future__ import annotations

import pandas as pd

from petscale.analysis import means
from petscale.analysis.claims.row import ClaimRow, Evidence, named, undecided
from petscale.analysis.interval import mean_over_tasks, task_seed_matrix
from petscale.analysis.transfer import ABOVE_CHANCE, ACROSS, RELATIVE, WITHIN
from petscale.analysis.verdict import increase, no_increase

_TABLE = "transfer.csv"
RATIOS = (RELATIVE, ABOVE_CHANCE)
_NAMES = {RELATIVE: "", ABOVE_CHANCE: " (above chance)"}
_IDS = {RELATIVE: "", ABOVE_CHANCE: "-above-chance"}


def within_beats_across(evidence: Evidence, ratio: str) -> ClaimRow:
    """Mean ratio to targets of the source's type minus that to other types, paired by source cell."""
    name, claim = (
        f"transfer-type{_IDS[ratio]}",
        f"Transfer within a task type beats transfer across types{_NAMES[ratio]}",
    )
    margin = evidence.settings.margins.transfer_percent
    known = evidence.ratios.dropna(subset=[ratio])
    if known.empty:
        return undecided(name, claim, evidence, _TABLE)
    known = known.assign(source_of=known["backbone"] + "|" + known["method"] + "|" + known["source"])
    sources, seeds = means.ordered(known["source_of"]), sorted(set(known["seed"]))
    within, across = (
        task_seed_matrix(known[known["relation"] == relation], ratio, sources, seeds, stratum="source_of")
        for relation in (WITHIN, ACROSS)
    )
    estimate = mean_over_tasks(within - across, evidence.settings.confidence)
    both = int((~(within - across != within - across)).any(axis=1).sum())
    if not both:
        why = "no source has targets both within and across types"
        return undecided(name, claim, evidence, _TABLE, why, _behind(evidence, known))
    parts = [f"{end} {float(known.loc[known['relation'] == end, ratio].mean()):.0f} %" for end in (WITHIN, ACROSS)]
    return ClaimRow(
        name,
        claim,
        evidence.ladder,
        "mean ratio within minus across types, all backbones",
        "percentage points",
        estimate,
        increase(estimate, margin),
        f"interval above 0; not supported if below {margin:g}",
        f"{both} sources (backbone x structure x task), {estimate.seeds} seeds",
        "; ".join(parts),
        _TABLE,
        _behind(evidence, known),
    )


def scale_does_not_help(evidence: Evidence, ratio: str) -> ClaimRow:
    """Mean ratio across types on the largest backbone minus the smallest, paired by structure, source and target."""
    name = f"transfer-scale{_IDS[ratio]}"
    claim = f"Scale does not help transfer across types{_NAMES[ratio]}"
    margin = evidence.settings.margins.transfer_percent
    known = evidence.ratios.dropna(subset=[ratio])
    known = known[known["relation"] == ACROSS]
    if not evidence.scaled or known.empty:
        return undecided(name, claim, evidence, _TABLE, "needs transfers on two scales")
    known = known.assign(pair=known["method"] + "|" + known["source"] + "|" + known["target"])
    seeds = sorted(set(known["seed"]))
    ends = {backbone: known[known["backbone"] == backbone] for backbone in (evidence.smallest, evidence.largest)}
    pairs = [pair for pair in means.ordered(known["pair"]) if all(pair in set(end["pair"]) for end in ends.values())]
    small, large = (task_seed_matrix(end, ratio, pairs, seeds, stratum="pair") for end in ends.values())
    estimate = mean_over_tasks(large - small, evidence.settings.confidence)
    if not estimate.bounded:
        why = "fewer than two seeds with the same pairs on both scales"
        return undecided(name, claim, evidence, _TABLE, why, _behind(evidence, known))
    return ClaimRow(
        name,
        claim,
        evidence.ladder,
        f"mean ratio across types, {evidence.largest} minus {evidence.smallest}",
        "percentage points",
        estimate,
        no_increase(estimate, margin),
        f"interval below {margin:g}; not supported if above 0",
        f"{len(pairs)} pairs of tasks x structures, {estimate.seeds} seeds",
        "; ".join(f"{backbone} {float(end[ratio].mean()):.0f} %" for backbone, end in ends.items()),
        _TABLE,
        _behind(evidence, known),
    )


def _behind(evidence: Evidence, known: pd.DataFrame) -> pd.DataFrame:
    """The source cells of the transfers."""
    return named(evidence, known["source_cell"])
