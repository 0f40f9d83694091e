"""The table of zero-shot scores: one row per planned transfer, beside the score of the cell trained on the target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis.study_plan import StudyPlan
from petscale.analysis.tidy import POINTS, RANK, asked_by

_COLUMNS = (
    "source_cell", "ladder", "backbone", "scale", "display", "method", "structure", "budget", "seed", "source",
    "source_kind", "target", "target_kind", "metric", "status", "cause", "score", "chance", "original",
    "original_cell", "shared_rows", "score_all", "rank", "original_rank", "path",
)  # fmt: skip
_NUMBERS = ("score", "original", "chance", "shared_rows", "score_all", "rank", "original_rank")


def transfer_scores(plan: StudyPlan, cells: pd.DataFrame, results_root: Path) -> pd.DataFrame:
    """Collect all planned transfers and, as rows with source = target, the test score of every source on its own task.

    Args:
        plan: the study plan.
        cells: tidy table of its cells.
        results_root: the folder that holds `transfer/`.

    Returns:
        `score` is the zero-shot score in points (NaN where missing or undefined), `original` that of the cell
        trained on the target with the same backbone, method, budget and seed. `chance` is 100/classes on
        classification (a model trained on any classification task emits the unified labels), 0 on generation.
        `shared_rows` is the number of test rows that the source was trained on (NaN if that was not compared). `score`
        leaves them out, and `score_all` is the score with them. `rank` and `original_rank` are the accuracies of the
        most probable label (on free text and on BERT, whose head always answers with a class, equal to `score` and
        `original`). `status` is done, missing or undefined.
    """
    tasks = {task["name"]: task for task in plan["tasks"]}
    sources = asked_by(cells, "transfer").set_index("cell")
    own = {_place(row, row["task"]): (cell, row["score"], _rank(row)) for cell, row in sources.iterrows()}
    rows = []
    for planned in plan["transfers"]:
        if planned["source"] not in sources.index:
            continue
        source, target = sources.loc[planned["source"]], tasks[planned["target"]]
        original_cell, original, original_rank = own.get(_place(source, target["name"]), ("", np.nan, np.nan))
        rows.append(
            {
                **_origin(planned["source"], source),
                "target": target["name"],
                "target_kind": target["kind"],
                **_outcome(results_root / planned["path"], tasks[source["task"]], target),
                "original": original,
                "original_rank": original_rank,
                "original_cell": original_cell,
                "path": planned["path"],
            }
        )
    for cell, row in sources.iterrows():
        target = tasks[row["task"]]
        rows.append(
            {
                **_origin(str(cell), row),
                "target": row["task"],
                "target_kind": row["kind"],
                "metric": row["metric"],
                "status": "done" if pd.notna(row["score"]) else "missing",
                "cause": row["cause"],
                "score": row["score"],
                "chance": _chance(target),
                "original": row["score"],
                "rank": _rank(row),
                "original_rank": _rank(row),
                "original_cell": cell,
                "path": "",
            }
        )
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return table.astype(dict.fromkeys(_NUMBERS, float))


def _origin(cell: str, row: pd.Series) -> dict[str, Any]:
    kept = row[["ladder", "backbone", "scale", "display", "method", "structure", "budget", "seed"]].to_dict()
    return {"source_cell": cell, **kept, "source": row["task"], "source_kind": row["kind"]}


def _rank(row: pd.Series) -> float:
    """Accuracy of the most probable label of a cell, or its score where the two are the same."""
    return float(row[RANK] if row["chance"] < row["guess"] else row["score"])


def _place(row: pd.Series, task: str) -> tuple[Any, ...]:
    return (row["backbone"], row["method"], row["budget"], row["seed"], task)


def _chance(target: StudyPlan) -> float:
    classes = target.get("classes")  # unified labels keep all classes of a task: MNLI has `1`, `2` and `0`
    return POINTS / classes if classes else 0.0


def _outcome(path: Path, source: StudyPlan, target: StudyPlan) -> dict[str, Any]:
    """Read the columns of one transfer from its file.

    Between classification and generation the metric has no meaning: a source trained on class digits writes no
    summaries, and one trained on summaries writes no class digits.
    """
    chance = _chance(target)
    if bool(source.get("classes")) != bool(target.get("classes")):
        cause = "one of the two tasks is classification, the other generation"
        return {"metric": target["metric"], "status": "undefined", "cause": cause, "score": np.nan, "chance": chance}
    try:
        document = json.loads(path.read_bytes())
        metric, shared = document["metric"], document.get("shared_rows")
        status, value = document["status"], (document["scores"].get(metric) or {}).get("value")
        # A row that the source was trained on does not measure transfer.
        counted = document["scores_without_shared"] if shared else document["scores"]
        unseen = (counted.get(metric) or {}).get("value")
        rank = (counted.get(RANK) or {}).get("value", unseen)
    except FileNotFoundError:
        return {"metric": None, "status": "missing", "cause": "not run", "score": np.nan, "chance": chance}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        cause = f"{path}: not a readable transfer record ({error})"
        return {"metric": None, "status": "missing", "cause": cause, "score": np.nan, "chance": chance}
    if status == "done" and unseen is None:
        status = "undefined"
    return {
        "metric": metric,
        "status": status,
        "cause": document.get("cause"),
        "score": POINTS * float(unseen) if status == "done" and unseen is not None else np.nan,
        "rank": POINTS * float(rank) if status == "done" and rank is not None else np.nan,
        "score_all": POINTS * float(value) if status == "done" and value is not None else np.nan,
        "shared_rows": np.nan if shared is None else shared,
        "chance": chance,
    }
