"""Claims of Lialin et al. 2024 (section 11.3) on speed and memory, decided by measurements of methods alone.

The statistic is the natural logarithm of a ratio to another method, paired by repeat: both had the same rows in the
same order on the same device. Repeats are random, and tasks are fixed. Costs are the same in both readings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.claims.row import Claim, ClaimRow, Evidence, decided, undecided
from petscale.analysis.interval import Estimate, Matrix, mean_over_tasks, task_seed_matrix
from petscale.analysis.verdict import Rule, Verdict, at_least, below, corrected_level, decide_all, only_if_all

REFERENCE = "full"
_UNIT = "log of the ratio"


@dataclass(frozen=True)
class Ratio:
    """The mean logarithm of a ratio, with its name."""

    name: str
    estimate: Estimate


def adapters_slow_small(evidence: Evidence, claim: Claim) -> ClaimRow:
    """On the smallest backbone adapters train more slowly than full fine-tuning, on average over the adapters."""
    asked = _of(evidence, claim, [evidence.smallest])
    logs = {name: _logs(asked, name, REFERENCE, "train") for name in claim.about if name != REFERENCE}
    silent = [f"{name} / {REFERENCE} on {evidence.smallest}" for name, own in logs.items() if _empty(own)]
    found = []
    if not silent:  # a repeat that lacks one of the adapters gives no mean over them
        every = np.mean(list(logs.values()), axis=0)
        found = [Ratio(f"adapters / {REFERENCE} on {evidence.smallest}", _mean(every, evidence))]
    return _decide(evidence, claim, found, silent, below(_slower(evidence)), asked, "training speed")


def additive_slow_inference(evidence: Evidence, claim: Claim) -> ClaimRow:
    """On every backbone each additive method, not merged, answers more slowly than full fine-tuning."""
    pairs = [(name, REFERENCE) for name in claim.about if name != REFERENCE]
    return _everywhere(evidence, claim, pairs, "inference", below(_slower(evidence)), "inference speed")


def kronecker_saves_no_memory(evidence: Evidence, claim: Claim) -> ClaimRow:
    """On every backbone methods of Kronecker factors need as much memory for training as LoRA."""
    return _everywhere(evidence, claim, claim.pairs, "memory", at_least(_slower(evidence)), "peak memory")


def _slower(evidence: Evidence) -> float:
    """The logarithm of the ratio that is smaller than 1 by the smallest share that matters."""
    return math.log(1 - evidence.settings.margins.cost_percent / 100)


def _everywhere(
    evidence: Evidence, claim: Claim, pairs: Sequence[tuple[str, str]], quantity: str, rule: Rule, what: str
) -> ClaimRow:
    """Decide whether a rule holds for the ratio of each pair on each backbone."""
    asked = _of(evidence, claim, evidence.backbones)
    found, silent = [], []
    for backbone in evidence.backbones:
        rung = asked[asked["backbone"] == backbone]
        for a, b in pairs:
            name = f"{a} / {b} on {backbone}"
            logs = _logs(rung, a, b, quantity)
            if _empty(logs):
                silent.append(name)
            else:
                found.append(Ratio(name, _mean(logs, evidence)))
    return _decide(evidence, claim, found, silent, rule, asked, what)


def _decide(
    evidence: Evidence,
    claim: Claim,
    found: Sequence[Ratio],
    silent: Sequence[str],
    rule: Rule,
    asked: pd.DataFrame,
    what: str,
) -> ClaimRow:
    behind = asked.assign(cell=asked["path"], score=asked["train"])
    if not found or all(np.isnan(one.estimate.value) for one in found):
        return undecided(evidence, claim, f"without a measurement: {', '.join(silent)}", behind)

    def verdict(level: float) -> Verdict:
        corrected = corrected_level(level, len(found))
        plain, against = ([one.estimate.at(chosen) for one in found] for chosen in (level, corrected))
        return only_if_all(decide_all(plain, against, rule), silent)

    percent = evidence.settings.margins.cost_percent
    equal = rule.inside(0.0, 0.0)  # the claim is that costs are equal or higher; the lowest ratio decides
    ordered = sorted(found, key=lambda one: one.estimate.value)
    limit = f"{100 - percent:g} %"
    inside, outside = (f"not below {limit}", f"below {limit}")[:: 1 if equal else -1]
    told = "; ".join(f"{one.name} {_percent(one.estimate)}" for one in found)
    return decided(
        evidence,
        claim,
        verdict,
        statistic=f"{'lowest' if equal else 'highest'} ratio of {what}",
        unit=_UNIT,
        estimate=ordered[0 if equal else -1].estimate,
        rule=f"each interval {inside}; not supported if one is {outside}",
        n=f"{len(means.ordered(asked['task']))} tasks, {len(found)} ratios,"
        f" {min(one.estimate.seeds for one in found)} repeats",
        detail=told + (f"; without a number: {', '.join(silent)}" if silent else ""),
        behind=behind,
    )


def _of(evidence: Evidence, claim: Claim, backbones: Sequence[str]) -> pd.DataFrame:
    measured = evidence.measurements
    return measured[measured["method"].isin(claim.about) & measured["backbone"].isin(backbones)]


def _logs(measured: pd.DataFrame, a: str, b: str, quantity: str) -> Matrix:
    """Logarithms of a / b as (tasks, repeats), NaN where one of them is missing or ran on another device."""
    tasks, seeds = means.ordered(measured["task"]), sorted(set(measured["seed"]))
    place = ["backbone", "task", "seed", "device"]
    sides = (measured.loc[measured["method"] == name, [*place, quantity]] for name in (a, b))
    both = pd.merge(*sides, on=place, suffixes=("", "_other"))
    logs = np.log(both[quantity].to_numpy(float) / both[f"{quantity}_other"].to_numpy(float))
    return task_seed_matrix(both.assign(logs=logs), "logs", tasks, seeds)


def _empty(logs: Matrix) -> bool:
    return bool(np.isnan(logs).all())


def _mean(logs: Matrix, evidence: Evidence) -> Estimate:
    return mean_over_tasks(logs, evidence.settings.confidence)


def _percent(one: Estimate) -> str:
    value = f"{100 * math.exp(one.value):.0f} %"
    if not one.bounded:
        return f"{value} (no interval)"
    return f"{value} [{100 * math.exp(one.low):.0f}, {100 * math.exp(one.high):.0f}]"
