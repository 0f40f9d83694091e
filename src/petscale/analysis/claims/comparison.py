"""Claims of Lialin et al. 2024 (section 11.2) on how methods compare with each other and with full fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from petscale.analysis import means
from petscale.analysis.claims.row import Claim, ClaimRow, Evidence, decided, nothing_learnt, undecided, words, worst
from petscale.analysis.interval import Estimate
from petscale.analysis.tidy import asked_by
from petscale.analysis.verdict import Verdict, at_least, corrected_level, decide_all, only_if_all


def adapters_and_lora_reach_full(evidence: Evidence, claim: Claim) -> ClaimRow:
    """Houlsby adapters and LoRA are not inferior to full fine-tuning on any size."""
    margin = evidence.settings.margins.full_points
    return everywhere(evidence, claim, [(name, "full") for name in claim.about if name != "full"], -margin)


def pfeiffer_below_houlsby(evidence: Evidence, claim: Claim) -> ClaimRow:
    """Houlsby adapters score higher than Pfeiffer adapters by what matters, on every size."""
    return everywhere(evidence, claim, [("houlsby", "pfeiffer")], evidence.settings.margins.full_points)


def norms_are_competitive(evidence: Evidence, claim: Claim) -> ClaimRow:
    """Tuning the norms alone is nearly as good as full fine-tuning on every size."""
    return everywhere(evidence, claim, [("ln-tuning", "full")], -evidence.settings.margins.competitive_points)


def everywhere(evidence: Evidence, claim: Claim, pairs: Sequence[tuple[str, str]], bound: float) -> ClaimRow:
    """Decide whether the first method of each pair minus the second is at least a bound, on each backbone.

    Args:
        evidence: of one ladder in one reading.
        claim: the claim that the row states.
        pairs: names of methods or variants.
        bound: in points.
    """
    asked = asked_by(evidence.cells, "methods")
    involved = asked[asked["method"].isin({name for pair in pairs for name in pair})]
    if involved.empty:
        return undecided(evidence, claim)
    compared: list[tuple[str, Callable[[float], Estimate]]] = []
    tasks: list[str] = []
    left_out: list[str] = []
    silent: list[str] = []
    for backbone in evidence.backbones:
        rung = involved[involved["backbone"] == backbone]
        counted = evidence.taught(rung, [backbone])
        left_out += [why for why in counted.left_out if why not in left_out]
        own, _ = means.common_tasks(rung[rung["task"].isin(counted.tasks)], ["method"])
        tasks += [task for task in own if task not in tasks]
        for a, b in pairs:
            parts = [rung[rung["method"] == name] for name in (a, b)]
            if own and all(len(means.scored(part)) for part in parts):
                compared.append((f"{a} - {b} on {backbone}", _paired(parts, own, evidence)))
            else:
                silent.append(f"{a} - {b} on {backbone}")
    if not compared:
        counted = evidence.taught(involved, evidence.backbones)
        return nothing_learnt(evidence, claim, involved, counted)

    def verdict(level: float) -> Verdict:
        corrected = corrected_level(level, len(compared))
        plain, against = ([at(chosen) for _, at in compared] for chosen in (level, corrected))
        return only_if_all(decide_all(plain, against, at_least(bound)), silent)

    plain = [at(evidence.settings.confidence) for _, at in compared]
    told = "; ".join(f"{name} {words(one)}" for (name, _), one in zip(compared, plain, strict=True))
    return decided(
        evidence,
        claim,
        verdict,
        statistic="lowest mean difference",
        unit="points",
        estimate=worst(plain),
        rule=f"each interval above {bound:g} points; not supported if one is below",
        n=f"{len(tasks)} tasks, {len(compared)} differences, {min(one.seeds for one in plain)} seeds",
        detail=told + (f"; without a number: {', '.join(silent)}" if silent else ""),
        behind=involved,
        left_out="; ".join(left_out),
    )


def _paired(parts: Sequence[pd.DataFrame], tasks: Sequence[str], evidence: Evidence) -> Callable[[float], Estimate]:
    plain = means.paired(parts[0], parts[1], tasks, evidence.settings.confidence, evidence.examples)
    return plain.at
