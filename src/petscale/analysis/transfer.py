"""Experiment `transfer`: zero-shot score divided by the score of training on the target (Su et al. figure 9).

    relative     = 100 zero-shot / original                            the papers' ratio
    above chance = 100 (zero-shot - chance) / (original - chance)      0 is guessing, 100 is trained on the target

With a classification head, guessing alone gives a relative performance of about 55 %, so the second ratio is reported
too. Both are undefined if the cells trained on the target are not `minimum_points` above chance, or if the metric has
no meaning.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.interval import Estimate, Matrix, mean_over_tasks, task_seed_matrix
from petscale.study.config.analysis import AnalysisSettings

RELATIVE, ABOVE_CHANCE = "relative", "above_chance"
WITHIN, ACROSS = "within a type", "across types"
_PLACE = ["ladder", "backbone", "scale", "display", "method", "structure"]


def with_ratios(scores: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Add both ratios, in percent, and the relation of source and target (same task or type) to the transfers."""
    above = scores["original"] - scores["chance"]
    usable = above >= settings.transfer.minimum_points
    gain = (scores["score"] - scores["chance"]) / above.where(usable)
    kind = np.where(scores["source_kind"] == scores["target_kind"], WITHIN, ACROSS)
    return scores.assign(
        relative=(100 * scores["score"] / scores["original"].where(usable)),
        above_chance=100 * gain,
        relation=np.where(scores["source"] == scores["target"], "itself", kind),
    )


def transfer_table(ratios: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """The matrix of figure 9: one row per backbone, structure, source and target, with means over seeds and intervals.

    `score` and the ratios leave out test rows of the target that the source was trained on; `shared_rows` is their
    number and `score_all` is the score with them.

    `status` is done, or the reason why there is no number: missing, undefined (the metric has no meaning for this
    pair), or no reference (the cells trained on the target are missing or not above chance).
    """
    rows = []
    keys = [*_PLACE, "source", "source_kind", "target", "target_kind", "relation"]
    for key, part in means.groups(ratios, keys):
        row: dict[str, Any] = dict(zip(keys, key, strict=True))
        seeds = sorted(set(part["seed"]))
        for ratio in (RELATIVE, ABOVE_CHANCE):
            one = task_seed_matrix(part, ratio, [row["target"]], seeds, stratum="target")
            estimate = mean_over_tasks(one, settings.confidence)
            row.update({ratio: estimate.value, f"{ratio}_low": estimate.low, f"{ratio}_high": estimate.high})
        row.update(
            seeds=int(part[RELATIVE].notna().sum()),
            score=part["score"].mean(),
            score_all=part["score_all"].mean(),
            shared_rows=part["shared_rows"].max(),
            original=part["original"].mean(),
            chance=part["chance"].iloc[0],
            status=_status(part),
            planned=len(part),
            cells=";".join([*part["source_cell"], *(cell for cell in part["original_cell"] if cell)]),
        )
        rows.append(row)
    return pd.DataFrame(rows)


def relation_table(ratios: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Mean ratio within a task type and across types by backbone and structure, and their paired difference."""
    rows = []
    for key, part in means.groups(ratios, _PLACE):
        place = dict(zip(_PLACE, key, strict=True))
        for ratio in (RELATIVE, ABOVE_CHANCE):
            for relation in (WITHIN, ACROSS):
                rows.append({**place, "ratio": ratio, "relation": relation, **_row(part, ratio, relation, settings)})
            advantage = within_minus_across(part, ratio, settings.confidence)
            rows.append(
                {
                    **place,
                    "ratio": ratio,
                    "relation": "within minus across",
                    **means.interval_columns(advantage),
                    "cells": ";".join(means.ordered(part["source_cell"])),
                }
            )
    return pd.DataFrame(rows)


def within_minus_across(part: pd.DataFrame, ratio: str, confidence: float) -> Estimate:
    """Mean over sources of (mean ratio to the same type - mean ratio to other types), paired by source and seed.

    Sources without another task of their type have no such difference and are left out.
    """
    within, across = (_by_source(part, ratio, relation) for relation in (WITHIN, ACROSS))
    return mean_over_tasks(within - across, confidence)


def across_by_seed(part: pd.DataFrame, ratio: str, pairs: list[tuple[str, str]], seeds: list[int]) -> Matrix:
    """Ratios of given (source, target) pairs as (pairs, seeds)."""
    named = part.assign(pair=list(zip(part["source"], part["target"], strict=True)))
    return task_seed_matrix(named[named["pair"].isin(pairs)], ratio, pairs, seeds, stratum="pair")


def _by_source(part: pd.DataFrame, ratio: str, relation: str) -> Matrix:
    sources, seeds = means.ordered(part["source"]), sorted(set(part["seed"]))
    return task_seed_matrix(part[part["relation"] == relation], ratio, sources, seeds, stratum="source")


def _row(part: pd.DataFrame, ratio: str, relation: str, settings: AnalysisSettings) -> dict[str, Any]:
    chosen = part[part["relation"] == relation]
    known = chosen.dropna(subset=[ratio])
    pairs = means.ordered(zip(known["source"], known["target"], strict=True))
    estimate = mean_over_tasks(across_by_seed(known, ratio, pairs, sorted(set(part["seed"]))), settings.confidence)
    return {
        **means.interval_columns(estimate),
        "pairs": len(pairs),
        "planned": len(chosen),
        "without_number": len(chosen) - len(known),
        "cells": ";".join(means.ordered(chosen["source_cell"])),
    }


def _status(part: pd.DataFrame) -> str:
    if part[RELATIVE].notna().any():
        return "done"
    if (part["status"] == "undefined").all():
        return "undefined"
    return "no reference" if part["score"].notna().any() else "missing"
