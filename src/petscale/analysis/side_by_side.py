"""Comparison with the papers' numbers (`papers/*.csv`), for studies that use the papers' backbones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.against_lialin import lialin_rows
from petscale.analysis.papers import noise_of, paper_table, within_noise
from petscale.analysis.tidy import asked_by
from petscale.study.config.analysis import AnalysisSettings

PAPER_SEEDS = 3  # Su et al. section 4.1
# The paper rounds shares to one or two digits, so shares within this factor count as the same budget.
SHARE_FACTOR = 1.25
PAPER_NAMES = {
    "google/t5-v1_1-small": "t5-small",
    "google/t5-v1_1-base": "t5-base",
    "google/t5-v1_1-xxl": "t5-xxl",
    "google/bert_uncased_L-4_H-512_A-8": "bert-small",
    "google/bert_uncased_L-12_H-768_A-12": "bert-base",
    "bert-large-uncased": "bert-large",
    "google-bert/bert-large-uncased": "bert-large",
}


def side_by_side(
    cells: pd.DataFrame,
    thresholds: pd.DataFrame,
    gaps: pd.DataFrame,
    comparison: pd.DataFrame,
    settings: AnalysisSettings,
) -> pd.DataFrame:
    """Compare each number of a paper that the study also has: the difference, and whether it lies within noise.

    Since Su et al. give no spread, a score lies within noise if the paper's is in the interval that would contain the
    mean of three further seeds of this study,

        mean +- t(S-1) sd sqrt(1/S + 1/3).

    A threshold agrees if its interval overlaps the paper's range; gaps have no interval. A score at another share of
    trained parameters than the paper's is not compared: `within_noise` is then `other budget`.
    """
    known = cells[cells["backbone"].isin(PAPER_NAMES)]
    rows = [*_scores(known, settings), *_thresholds(thresholds), *_gaps(gaps)]
    rows += lialin_rows(cells, comparison, settings)
    names = ["quantity", "backbone", "task", "method", "match", "ours", "low", "high", "paper", "paper_high",
             "difference", "within_noise", "percent", "paper_percent", "seeds", "cause", "cells"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def _scores(known: pd.DataFrame, settings: AnalysisSettings) -> list[dict[str, Any]]:
    paper = paper_table("su2023_table2").fillna({"budget_matched_to": ""})
    published = {
        (row.backbone, row.task, row.method, row.budget_matched_to): row for row in paper.itertuples(index=False)
    }
    rows = []
    for key, part in means.groups(asked_by(known, "structure"), ["backbone", "task", "method"]):
        backbone, task, method = map(str, key)
        for match in _groups_of(part):
            place = (PAPER_NAMES[backbone], task, method, match)
            theirs = published.get(place)
            if theirs is None:
                continue
            chosen = part if method == "full" else part[[match in names for names in part["matches"]]]
            values = chosen["score"].dropna()
            mean, half = float(values.mean()), noise_of(values, PAPER_SEEDS, settings.confidence)
            percent = 100 * float((chosen["trainable"] / chosen["total"]).iloc[0]) if match else 100.0
            same = 1 / SHARE_FACTOR <= percent / theirs.trainable_percent <= SHARE_FACTOR
            difference = mean - theirs.score
            rows.append(
                {
                    "quantity": "score (table 2)",
                    "backbone": backbone,
                    "task": task,
                    "method": method,
                    "match": match,
                    "ours": mean,
                    "low": mean - half,
                    "high": mean + half,
                    "paper": theirs.score,
                    "difference": difference if same else np.nan,
                    "within_noise": within_noise(abs(difference) <= half, half) if same else "other budget",
                    "percent": percent,
                    "paper_percent": theirs.trainable_percent,
                    "seeds": len(values),
                    "cells": ";".join(chosen["cell"]),
                }
            )
    return rows


def _groups_of(part: pd.DataFrame) -> list[str]:
    if part["method"].iloc[0] == "full":
        return [""]
    return means.ordered(name for names in part["matches"] for name in names)


def _thresholds(thresholds: pd.DataFrame) -> list[dict[str, Any]]:
    stated = paper_table("su2023_stated_findings")
    stated = stated[stated["quantity"] == "low_parameter_threshold"].set_index("backbone")
    rows = []
    for one in thresholds.itertuples(index=False) if len(thresholds) else ():
        paper = PAPER_NAMES.get(one.backbone)
        if paper not in stated.index:
            continue
        low, high = float(stated.loc[paper, "low"]), float(stated.loc[paper, "high"])
        meets = one.low_from <= high and one.low_to >= low
        rows.append(
            {
                "quantity": "low threshold (section 5.3)",
                "backbone": one.backbone,
                "task": one.task,
                "method": one.method,
                "match": "",
                "ours": one.low_threshold,
                "low": one.low_from,
                "high": one.low_to,
                "paper": low,
                "paper_high": high,
                "difference": np.nan,
                "within_noise": within_noise(meets, one.low_from),
                "seeds": one.seeds,
                "cells": one.cells,
            }
        )
    return rows


def _gaps(gaps: pd.DataFrame) -> list[dict[str, Any]]:
    stated = paper_table("su2023_stated_findings")
    stated = stated[stated["quantity"].str.startswith("pet_performance_gap")]
    rows = []
    for one in gaps.itertuples(index=False) if len(gaps) else ():
        paper = PAPER_NAMES.get(one.backbone)
        found = stated[[paper in str(name).split("..") for name in stated["backbone"]]]
        for range_ in found.itertuples(index=False):
            rows.append(
                {
                    "quantity": "largest gap among PET methods (section 4.2)",
                    "backbone": one.backbone,
                    "task": "(mean)",
                    "method": "",
                    "match": "",
                    "ours": one.largest_gap,
                    "paper": range_.low,
                    "paper_high": range_.high,
                    "difference": one.largest_gap - range_.high,
                    "within_noise": "no interval",
                    "seeds": one.seeds,
                    "cells": one.cells,
                }
            )
    return rows
