"""The claim of Lialin et al. 2024 (section 11.2) that hybrid methods are especially sensitive to hyperparameters.

Of the hyperparameters the learning rate is tested. What a method loses on a backbone and task is the best dev score of
the rates that were tried minus their mean (`rates.losses_table`). One seed tries rates, so a backbone with a task is
the unit of replication: the interval tells what further backbones and tasks of this kind would show.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.claims.row import Claim, ClaimRow, Evidence, decided, not_measurable, undecided, words
from petscale.analysis.interval import mean_over_tasks
from petscale.analysis.readings import KNOWLEDGE
from petscale.analysis.verdict import at_least, decide

HYBRIDS = ("mam", "unipelt")
EASY = ("houlsby", "lora-qv", "lora-all")
"""Methods that the paper's key findings call good with little to no effort in tuning."""


def hybrids_are_sensitive(evidence: Evidence, claim: Claim) -> ClaimRow:
    """Hybrid methods lose more at the tried rates than Houlsby adapters and LoRA do."""
    losses = evidence.losses[evidence.losses["method"].isin(claim.about)]
    behind = _behind(losses)
    kept, left_out, waits = [], [], False
    for (backbone, task), part in means.groups(losses, ["backbone", "task"]):
        own = part.drop_duplicates("method")  # with a frozen head full fine-tuning is searched a second time
        name, loss = f"{task} on {backbone}", own.set_index("method")["loss"].reindex(claim.about)
        if loss.isna().any():
            left_out.append(f"{name} (not all rates are tried)")
            waits = True
        elif why := _why_not(evidence, str(backbone), str(task)):
            left_out.append(f"{name} ({why})")
        else:
            kept.append((name, float(loss[list(HYBRIDS)].mean() - loss[list(EASY)].mean())))
    if len(kept) < 2:
        few = f"an interval needs two pairs of backbone and task that count, and there are {len(kept)}"
        if waits:
            return undecided(evidence, claim, few, behind)
        return not_measurable(evidence, claim, few, behind, "; ".join(left_out))
    estimate = mean_over_tasks(np.array([[value for _, value in kept]]), evidence.settings.confidence)
    bound = evidence.settings.margins.sensitivity_points
    return decided(
        evidence,
        claim,
        lambda level: decide(estimate.at(level), at_least(bound)),
        statistic="loss at the tried rates, hybrids minus Houlsby and LoRA",
        unit="points",
        estimate=estimate,
        rule=f"interval above {bound:g} points; not supported if below",
        n=f"{len(kept)} pairs of backbone and task, one seed",
        detail=f"{words(estimate)}; " + "; ".join(f"{name} {value:+.1f}" for name, value in kept),
        behind=behind,
        left_out="; ".join(left_out),
    )


def _why_not(evidence: Evidence, backbone: str, task: str) -> str:
    """Why a task says nothing on a backbone; an empty text if it counts."""
    rung = evidence.cells[(evidence.cells["backbone"] == backbone) & (evidence.cells["task"] == task)]
    if task not in evidence.taught(rung, [backbone]).tasks:
        return "full fine-tuning has not learnt it"
    if evidence.reading == KNOWLEDGE and (rung["chance"] < rung["guess"]).any():
        return "dev scores count the writing of labels"
    return ""


def _behind(losses: pd.DataFrame) -> pd.DataFrame:
    """The cells that tried the rates, in the form of the planned cells of a row."""
    rows = [
        {"cell": cell, "score": loss, "status": "missing" if np.isnan(loss) else "done"}
        for cells, loss in zip(losses["cells"], losses["loss"], strict=True)
        for cell in cells
    ]
    return pd.DataFrame(rows, columns=["cell", "score", "status"])
