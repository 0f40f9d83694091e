"""Claims on convergence: structure matters for speed at the largest scale, and adjacent converges faster.

Both rest on the time to a common target (`convergence`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.claims.row import Claim, ClaimRow, Evidence, decided, named, nothing_learnt, undecided
from petscale.analysis.convergence import time_ratio
from petscale.analysis.verdict import INCONCLUSIVE, NOT_SUPPORTED, Rule, Verdict, at_least, beyond, decide


def structure_sets_speed(evidence: Evidence, claim: Claim) -> ClaimRow:
    """The mean log ratio of times is not 0."""
    rule = "interval beyond ±{margin:.2f} (factor {factor:g}); not supported if inside"
    return _decided(evidence, claim, beyond, rule)


def adjacent_is_faster(evidence: Evidence, claim: Claim) -> ClaimRow:
    """The mean log ratio of times is positive."""
    rule = "interval above {margin:.2f} (factor {factor:g}); not supported if below it"
    return _decided(evidence, claim, at_least, rule)


def _decided(evidence: Evidence, claim: Claim, rule_of: Callable[[float], Rule], said: str) -> ClaimRow:
    factor, confidence = evidence.settings.margins.speed_factor, evidence.settings.confidence
    margin = math.log2(factor)
    every = evidence.pairs
    here = every[every["backbone"] == evidence.largest] if len(every) else every
    if here.empty:
        return undecided(evidence, claim, "no finished pair of adjacent and discrete")
    behind = named(evidence, (cell for cells in here["cells"] for cell in cells.split(";")))
    counted = evidence.taught(behind, [evidence.largest])
    if not counted.tasks:
        return nothing_learnt(evidence, claim, behind, counted)
    part = here[here["task"].isin(counted.tasks)]
    detail, estimate = _detail(part), time_ratio(part, confidence)
    if np.isnan(estimate.value):
        return undecided(evidence, claim, detail, behind)
    known = part.dropna(subset=["ratio_low"])
    strata = len(means.ordered(known["task"] + "|" + known["group"]))
    hidden = _one_sided(part)

    def verdict(level: float) -> Verdict:
        found = decide(estimate.at(level), rule_of(margin))
        # A difference that only the pairs without any ratio show cannot be denied by the others.
        return INCONCLUSIVE if found == NOT_SUPPORTED and hidden else found

    return decided(
        evidence,
        claim,
        verdict,
        statistic=f"log2(discrete steps / adjacent steps) to a common target on {evidence.largest}",
        unit="log2",
        estimate=estimate,
        rule=said.format(margin=margin, factor=factor),
        n=f"{len(known)} pairs, {strata} tasks x budgets, {estimate.seeds} seeds",
        detail=detail,
        behind=behind,
        left_out=counted.said,
    )


def _one_sided(part: pd.DataFrame) -> bool:
    """Whether some task and budget has no target because only one structure rises there."""
    return bool((part["target"].isna() & (part["adjacent_rose"] != part["discrete_rose"])).any())


def _detail(part: pd.DataFrame) -> str:
    firsts = part["first"].value_counts()
    censored = int((part["ratio"].isna() & part["ratio_low"].notna()).sum())
    rising = int(part["adjacent_rising"].sum() + part["discrete_rising"].sum())
    return (
        f"adjacent first in {firsts.get('adjacent', 0)}, discrete first in {firsts.get('discrete', 0)}, together in "
        f"{firsts.get('together', 0)} of {len(part)} pairs; in {censored} one run does not reach the target, in "
        f"{int(part['ratio_low'].isna().sum())} neither or a run is missing; {rising} runs still rise at their end"
    )
