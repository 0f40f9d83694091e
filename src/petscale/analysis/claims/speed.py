"""Claims on convergence: structure matters for speed at the largest scale, and adjacent converges faster."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd

from petscale.analysis import means
from petscale.analysis.claims.row import ClaimRow, Evidence, named, undecided
from petscale.analysis.convergence import ADJACENT, DISCRETE, mean_ratio
from petscale.analysis.interval import Estimate
from petscale.analysis.verdict import Verdict, increase, nonzero

_TABLE = "convergence.csv"


def structure_sets_speed(evidence: Evidence) -> ClaimRow:
    """The mean log ratio of steps is not 0."""
    claim = "Structure still matters for convergence speed at the largest scale"
    rule = "interval without 0; not supported if inside ±{margin:.2f} (factor {factor:g})"
    return _decided(evidence, "speed-differs", claim, nonzero, rule)


def adjacent_is_faster(evidence: Evidence) -> ClaimRow:
    """The mean log ratio of steps is positive."""
    rule = "interval above 0; not supported if below {margin:.2f} (factor {factor:g})"
    return _decided(evidence, "adjacent-faster", "Adjacent converges faster than discrete", increase, rule)


def _decided(
    evidence: Evidence, name: str, claim: str, decide: Callable[[Estimate, float], Verdict], rule: str
) -> ClaimRow:
    factor = evidence.settings.margins.speed_factor
    margin = math.log2(factor)
    estimate, n, detail = _ratio(evidence)
    behind = _behind(evidence)
    if math.isnan(estimate.value):
        return undecided(name, claim, evidence, _TABLE, detail, behind)
    statistic = f"log2(discrete steps / adjacent steps) on {evidence.largest}"
    verdict = _open(decide(estimate, margin), evidence)
    said = rule.format(margin=margin, factor=factor)
    return ClaimRow(name, claim, evidence.ladder, statistic, "log2", estimate, verdict, said, n, detail, _TABLE, behind)


def _open(verdict: Verdict, evidence: Evidence) -> Verdict:
    """Make "not supported" inconclusive if some pair has one run that converged and one that never did.

    Such a pair has no ratio but shows a difference, which the ratios of the other pairs would deny.
    """
    part = evidence.pairs[evidence.pairs["backbone"] == evidence.largest]
    one_sided = part["ratio"].isna() & part["first"].isin([ADJACENT, DISCRETE])
    return "inconclusive" if verdict == "not supported" and one_sided.any() else verdict


def _behind(evidence: Evidence) -> pd.DataFrame:
    """The cells of all pairs on the largest backbone."""
    part = evidence.pairs
    if part.empty:
        return evidence.cells.iloc[:0]
    part = part[part["backbone"] == evidence.largest]
    return named(evidence, (cell for cells in part["cells"] for cell in cells.split(";")))


def _ratio(evidence: Evidence) -> tuple[Estimate, str, str]:
    """The ratio over tasks and budget groups on the largest backbone; strata are (task, group)."""
    pairs = evidence.pairs
    part = pairs[pairs["backbone"] == evidence.largest] if len(pairs) else pairs
    if part.empty:
        return Estimate(math.nan), "", "no finished pair of adjacent and discrete"
    known = part.dropna(subset=["ratio"])
    firsts = part["first"].value_counts()
    detail = (
        f"adjacent first in {firsts.get('adjacent', 0)}, discrete first in {firsts.get('discrete', 0)}, together in "
        f"{firsts.get('together', 0)} of {len(part)} pairs; {len(part) - len(known)} pairs censored or missing"
    )
    if known.empty:
        return Estimate(math.nan), "", detail
    estimate = mean_ratio(known, "ratio", evidence.settings.confidence)
    strata = len(means.ordered(known["task"] + "|" + known["group"]))
    return estimate, f"{len(known)} pairs, {strata} tasks x budgets, {estimate.seeds} seeds", detail
