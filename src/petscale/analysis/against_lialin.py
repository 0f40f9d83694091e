"""Comparison with the numbers of Lialin et al. 2024 (tables 4 and 5, appendix B), for studies of their backbones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from petscale.analysis import means
from petscale.analysis.papers import noise_of, paper_table, within_noise
from petscale.analysis.tidy import asked_by
from petscale.study.config.analysis import AnalysisSettings

BACKBONES = ("t5-large", "t5-3b", "t5-11b")
_PREFIX = "google-t5/"
# Counts of the paper are rounded to 10,000.
_ROUNDED = 5_000.5
_RATIOS = {
    "training speed, % of full (table 5)": ("train_ratio", "train_percent_of_full"),
    "inference speed, % of full (table 5)": ("inference_ratio", "inference_percent_of_full"),
}


def lialin_rows(cells: pd.DataFrame, comparison: pd.DataFrame, settings: AnalysisSettings) -> Iterator[dict[str, Any]]:
    """Each number of the paper that the study also has, with the cause of a difference where one is known.

    A score lies within noise if the paper's mean over n seeds is in the interval of the mean of n further seeds of this
    study, mean +- t(S-1) sd sqrt(1/S + 1/n).

    Args:
        cells: tidy table, as published.
        comparison: of `comparison.comparison_table`, as published.
        settings: settings of the analysis.

    Yields:
        One row for each number, as a mapping from columns to values.
    """
    causes = paper_table("lialin2024_causes").fillna("")
    known = {(row.backbone, row.method, row.quantity): str(row.cause) for row in causes.itertuples(index=False)}

    def cause(backbone: str, method: str, quantity: str) -> str:
        return known.get((backbone, method, quantity)) or known.get(("", method, quantity), "")

    for row in _scores(cells, settings):
        yield row | {"cause": cause(_paper(row["backbone"]), row["method"], "score")}
    for row in _costs(comparison):
        quantity = "trainable" if row["quantity"].startswith("trained") else ""
        differs = row["within_noise"] == "no"
        yield row | {"cause": cause(_paper(row["backbone"]), row["method"], quantity) if differs else ""}


def _paper(backbone: str) -> str:
    return backbone.removeprefix(_PREFIX)


def _scores(cells: pd.DataFrame, settings: AnalysisSettings) -> Iterator[dict[str, Any]]:
    raw = paper_table("lialin2024_appendix_b")
    published = {
        (str(backbone), str(method), str(task)): part["score"]
        for (backbone, method, task), part in raw.groupby(["backbone", "method", "task"])
    }
    asked = asked_by(cells[cells["backbone"].map(_paper).isin(BACKBONES)], "methods")
    for (backbone, task, method), part in means.groups(asked, ["backbone", "task", "method"]):
        theirs = published.get((_paper(str(backbone)), str(method), str(task)))
        values = part["score"].dropna()
        if theirs is None or values.empty:
            continue
        mean, paper = float(values.mean()), float(theirs.mean())
        half = noise_of(values, len(theirs), settings.confidence)
        yield {
            "quantity": "score (appendix B)",
            "backbone": backbone,
            "task": task,
            "method": method,
            "match": "",
            "ours": mean,
            "low": mean - half,
            "high": mean + half,
            "paper": paper,
            "difference": mean - paper,
            "within_noise": within_noise(abs(mean - paper) <= half, half),
            "seeds": len(values),
            "cells": ";".join(part["cell"]),
        }


def _costs(comparison: pd.DataFrame) -> Iterator[dict[str, Any]]:
    table = paper_table("lialin2024_table5").set_index(["backbone", "method"])
    for row in comparison.itertuples(index=False) if len(comparison) else ():
        key = (_paper(str(row.backbone)), str(row.method))
        if key not in table.index:
            continue
        theirs = table.loc[key]
        common = {"backbone": row.backbone, "task": means.MEAN, "method": row.method, "match": "", "cells": row.cells}
        count, paper = float(row.trainable), 1e6 * float(theirs["trainable_millions"])
        yield {
            **common,
            "quantity": "trained parameters (table 5)",
            "ours": count,
            "paper": paper,
            "within_noise": "yes" if abs(count - paper) <= _ROUNDED else "no",
        }
        for quantity, (ours, name) in _RATIOS.items():
            value, paper = 100 * float(getattr(row, ours)), float(theirs[name])
            if not math.isnan(value) and not math.isnan(paper):
                yield {
                    **common,
                    "quantity": quantity,
                    "ours": value,
                    "paper": paper,
                    "difference": value - paper,
                    "within_noise": "no interval",
                }
