"""Tables of every metric on every test set: one row per cell and metric, and means over seeds.

Figures and claims use only a task's main metric. These tables also have the exact match of questions, ROUGE-1 and
ROUGE-2, and further test sets (MNLI's mismatched rows, `mismatched/accuracy`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from petscale.analysis import means
from petscale.analysis.interval import mean_over_tasks
from petscale.analysis.tidy import POINTS, RANK, asked_by
from petscale.artefacts.layout import Layout
from petscale.cells.record import read_result
from petscale.study.config.analysis import AnalysisSettings

_COLUMNS = ["cell", "task", "metric", "main", "value", "se", "n"]
_KEYS = ["ladder", "backbone", "scale", "display", "method", "task"]


def scores_table(cells: pd.DataFrame, results_root: Path) -> pd.DataFrame:
    """All test scores of the finished cells of a tidy table.

    Args:
        cells: tidy table; the records of its finished cells must be readable.
        results_root: the folder that holds `cells/`.

    Returns:
        One row per cell and metric, the main metric first. `value` and `se` are points (0 to 100), `n` is the number of
        examples, `main` says whether figures and claims use the metric.
    """
    layout = Layout(str(results_root))
    rows: list[dict[str, Any]] = []
    done = cells[cells["status"] == "done"]
    for cell, task in zip(done["cell"], done["task"], strict=True):
        record = read_result(Path(layout.result(cell)))
        for metric, score in sorted(record.test.items(), key=lambda item: (item[0] != record.metric, item[0])):
            if score.value is not None:
                rows.append(
                    {
                        "cell": cell,
                        "task": task,
                        "metric": metric,
                        "main": metric == record.metric,
                        "value": POINTS * score.value,
                        "se": None if score.se is None else POINTS * score.se,
                        "n": score.n,
                    }
                )
    return pd.DataFrame(rows, columns=_COLUMNS)


def metrics_table(cells: pd.DataFrame, scores: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Means over seeds of all metrics but the main one, for the cells of experiment `methods`.

    `rank_accuracy` is left out, because the table of methods has a column for it.

    Returns:
        One row per backbone, method, task and metric, with the interval over seeds (examples taken as given) and, as
        `main_value`, the mean of the task's main metric over the same cells.
    """
    asked = asked_by(cells, "methods")
    beside = scores[~scores["main"].astype(bool) & (scores["metric"] != RANK)]
    known = asked[[*_KEYS, "cell", "seed", "score"]].merge(beside[["cell", "metric", "value"]], on="cell")
    rows = []
    for key, part in means.groups(known, [*_KEYS, "metric"]):
        row = dict(zip([*_KEYS, "metric"], key, strict=True))
        values = means.matrix(part, [str(row["task"])], sorted(set(part["seed"])), "value")
        rows.append(
            {
                **row,
                **means.interval_columns(mean_over_tasks(values, settings.confidence)),
                "main_value": part["score"].mean(),
                "cells": ";".join(part["cell"]),
            }
        )
    return pd.DataFrame(rows)
