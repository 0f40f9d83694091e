"""Experiment `transfer`: zero-shot score divided by the score of training on the target (Su et al. figure 9).

    relative     = 100 zero-shot / original                            the paper's ratio, of the main metric
    guess        = 100 chance / original                               the relative performance of a constant guess
    above chance = 100 (zero-shot - chance) / mean_s (original_s - chance)     of the accuracy by rank: 0 is guessing,
                                                                       100 is what training on the target gives

The first falls when the target is learnt better, even where nothing transfers, so claims rest on the last one. It
exists where source and target count: where the cells trained on each are `minimum_points` above chance at the lower end
of their interval over seeds. All seeds of a pair count or none, because leaving out seeds by their score would select.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.interval import Estimate, Matrix, mean_over_tasks, task_seed_matrix
from petscale.study.config.analysis import AnalysisSettings

RELATIVE, ABOVE_CHANCE, GUESS = "relative", "above_chance", "guess"
WITHIN, ACROSS = "within a type", "across types"
_PLACE = ["ladder", "backbone", "scale", "display", "method", "structure"]


def with_ratios(scores: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Add the ratios, in percent, and the relation of source and target (same task or type) to the transfers.

    `source_counts` and `target_counts` say whether the cells trained on each are above chance.
    """
    above = scores["original"] - scores["chance"]
    usable = scores["original"].where(above >= settings.transfer.minimum_points)
    levels = _levels(scores, settings)
    place = [*_PLACE[:2], "method"]
    source, target = (
        pd.MultiIndex.from_frame(scores[[*place, end]]).map(lambda key: levels.get(key, np.nan))
        for end in ("source", "target")
    )
    known = source.notna() & target.notna()
    gain = (scores["rank"] - scores["chance"]) / pd.Series(target.to_numpy(float), index=scores.index)
    kind = np.where(scores["source_kind"] == scores["target_kind"], WITHIN, ACROSS)
    return scores.assign(
        relative=100 * scores["score"] / usable,
        guess=100 * scores["chance"] / usable,
        above_chance=100 * gain.where(known),
        source_counts=source.notna(),
        target_counts=target.notna(),
        relation=np.where(scores["source"] == scores["target"], "itself", kind),
    )


def untaught(ratios: pd.DataFrame) -> str:
    """The tasks on which the cells that were trained on them are not above chance, by backbone and method."""
    own = ratios[(ratios["relation"] == "itself") & ~ratios["source_counts"]]
    named = means.ordered(zip(own["source"], own["backbone"], own["method"], strict=True))
    return "; ".join(f"{task} ({backbone}, {method}: not above chance)" for task, backbone, method in named)


def _levels(scores: pd.DataFrame, settings: AnalysisSettings) -> dict[Hashable, float]:
    """Mean points above chance of the cells trained on a task, by place and task, where the task counts."""
    levels: dict[Hashable, float] = {}
    own = scores[scores["source"] == scores["target"]]
    for key, part in means.groups(own, [*_PLACE[:2], "method", "source"]):
        points = part["rank"] - part["chance"]
        values = task_seed_matrix(part.assign(points=points), "points", [key[-1]], sorted(set(part["seed"])), "source")
        level = mean_over_tasks(values, settings.confidence)
        if level.bounded and level.low >= settings.transfer.minimum_points:
            levels[key] = level.value
    return levels


def transfer_table(ratios: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """The matrix of figure 9: one row per backbone, structure, source and target, with means over seeds and intervals.

    `score` and the ratios leave out test rows of the target that the source was trained on; `shared_rows` is their
    number and `score_all` is the score with them.

    `status` is done, or the reason why there is no number: missing, undefined (the metric has no meaning for this
    pair), or no reference (the cells trained on the source or the target are missing or not above chance).
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
            rank=part["rank"].mean(),
            original_rank=part["original_rank"].mean(),
            guess=part[GUESS].mean(),
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
    """Mean ratio within a task type and across types by backbone and structure, and their paired difference.

    Rows with the ratio `guess` show which relative performance a constant guess would have.
    """
    rows = []
    for key, part in means.groups(ratios, _PLACE):
        place = dict(zip(_PLACE, key, strict=True))
        for ratio in (RELATIVE, GUESS, ABOVE_CHANCE):
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
    if part[[RELATIVE, ABOVE_CHANCE]].notna().any(axis=None):
        return "done"
    if (part["status"] == "undefined").all():
        return "undefined"
    return "no reference" if part["score"].notna().any() else "missing"
