"""Claims on convergence: structure matters for speed at the largest scale, and adjacent is the faster."""

from __future__ import annotations

import math

from petscale.analysis import means
from petscale.analysis.claims.row import ClaimRow, Evidence, undecided
from petscale.analysis.convergence import mean_ratio
from petscale.analysis.interval import Estimate
from petscale.analysis.verdict import increase, nonzero

_TABLE = "convergence.csv"
_STATISTIC = "log2(discrete steps / adjacent steps) on {}"


def structure_sets_speed(evidence: Evidence) -> ClaimRow:
    """The mean log ratio of steps is not 0."""
    name, claim = "speed-differs", "Structure still matters for convergence speed at the largest scale"
    margin = math.log2(evidence.settings.margins.speed_factor)
    estimate, n, detail = _ratio(evidence)
    if math.isnan(estimate.value):
        return undecided(name, claim, evidence, _TABLE, detail)
    rule = f"interval without 0; not supported if inside ±{margin:.2f} (factor {2**margin:g})"
    statistic = _STATISTIC.format(evidence.largest)
    verdict = nonzero(estimate, margin)
    return ClaimRow(name, claim, evidence.ladder, statistic, "log2", estimate, verdict, rule, n, detail, _TABLE)


def adjacent_is_faster(evidence: Evidence) -> ClaimRow:
    """The mean log ratio of steps is positive."""
    name, claim = "adjacent-faster", "Adjacent converges faster than discrete"
    margin = math.log2(evidence.settings.margins.speed_factor)
    estimate, n, detail = _ratio(evidence)
    if math.isnan(estimate.value):
        return undecided(name, claim, evidence, _TABLE, detail)
    rule = f"interval above 0; not supported if below {margin:.2f} (factor {2**margin:g})"
    statistic = _STATISTIC.format(evidence.largest)
    verdict = increase(estimate, margin)
    return ClaimRow(name, claim, evidence.ladder, statistic, "log2", estimate, verdict, rule, n, detail, _TABLE)


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
