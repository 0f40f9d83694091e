"""The table of all cells, from which all others are made: one row per planned cell, with its plan and its result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from petscale.analysis.study_plan import StudyPlan, chance_points
from petscale.artefacts.layout import Layout
from petscale.cells.published import CURVE
from petscale.cells.record import CellResult, Score, check_files, read_result
from petscale.errors import BadInput
from petscale.families.registry import lookup
from petscale.study.grid import TRIES

POINTS = 100.0
RANK = "rank_accuracy"
PLANNED_COUNTS = ("deployed", "touched", "rank")  # counts that a plan knows before its cell has run

_PLANNED = (
    "cell", "digest", "backbone", "ladder", "scale", "task", "kind", "method", "structure", "budget", "seed",
    "mask_seed", "learning_rate", "labels", "head", "control",
)  # fmt: skip
_MEASURED = (
    "cause", "notes", "metric", "score", "score_se", "score_n", RANK, "dev", "dev_se", "effective", "head_parameters",
    "stored", "changed", "total", *PLANNED_COUNTS, "best_step", "best_dev", "steps", "train_tokens_per_s",
    "inference_tokens_per_s", "startup_s", "train_s", "evaluate_s", "wall_s", "peak_memory", "energy_j", "hash_data",
    "hash_code", "hash_backbone",
)  # fmt: skip


def tidy(plan: StudyPlan, results_root: Path) -> pd.DataFrame:
    """The cells of a plan as a table, in the order of the plan.

    Args:
        plan: the study plan.
        results_root: the folder that holds `cells/`.

    Returns:
        One row per planned cell. `status` is done, diverged or missing; a record that cannot be read, or that belongs
        to another specification, counts as missing and `cause` says why. `score`, `rank_accuracy`, `dev` and
        `best_dev` are points (0 to 100); `score` is set for finished cells only. `guess` is the score of always
        answering with some label (0 on free text), `chance` that of a model that has learnt nothing: on T5, which
        writes no label then, 0.
    """
    tasks = {task["name"]: task for task in plan["tasks"]}
    class_heads = {ladder["name"]: lookup(ladder["family"]).has_head for ladder in plan["ladders"]}
    rungs = {rung["name"]: rung for ladder in plan["ladders"] for rung in ladder["backbones"]}
    rows = []
    for planned in plan["cells"]:
        row: dict[str, Any] = {key: planned.get(key) for key in _PLANNED}
        row["experiments"] = tuple(planned["experiments"])
        row["matches"] = _matches(planned)
        row["trainable"] = planned["trainable"]
        row["control"] = bool(row["control"])
        row["display"] = rungs.get(row["backbone"], {}).get("display", row["backbone"])
        row["chance"] = chance_points(tasks[row["task"]], class_head=class_heads[row["ladder"]])
        row["guess"] = chance_points(tasks[row["task"]], class_head=True)
        row.update(dict.fromkeys(_MEASURED), status="missing", total=planned.get("total"))
        row.update({key: planned.get(key) for key in PLANNED_COUNTS})
        row.update(_measured(planned, results_root))
        rows.append(row)
    columns = [*_PLANNED, "display", "experiments", "matches", "chance", "guess", "trainable", "status", *_MEASURED]
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    numbers = [
        column for column in _MEASURED if column not in ("cause", "notes", "metric") and not column.startswith("hash_")
    ]
    types = dict.fromkeys([*numbers, "budget", "learning_rate", "mask_seed", "chance", "guess"], float)
    table = table.astype({**types, "scale": int, "seed": int, "trainable": int, "control": bool})
    return table.copy()  # stores columns of one type as one block: later selections are several times faster


def asked_by(cells: pd.DataFrame, experiment: str, *, control: bool = False) -> pd.DataFrame:
    """The cells that belong to an experiment, with or without those on randomly initialised backbones."""
    wanted = [experiment in names for names in cells["experiments"]]
    return cells[pd.Series(wanted, index=cells.index, dtype=bool) & (control | ~cells["control"])]


def compared(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that experiments compare: those at rates that were tried and not chosen are no evidence."""
    kept = [tuple(names) != (TRIES,) for names in cells["experiments"]]
    return cells[pd.Series(kept, index=cells.index, dtype=bool)]


def in_group(cells: pd.DataFrame, group: str) -> pd.DataFrame:
    """The cells of a budget group: those of the PET method, and the APET cells that match its number of parameters."""
    wanted = [
        group == method or group in names for method, names in zip(cells["method"], cells["matches"], strict=True)
    ]
    return cells[pd.Series(wanted, index=cells.index, dtype=bool)]


def curves(cells: pd.DataFrame, results_root: Path) -> pd.DataFrame:
    """The learning curves of all finished or diverged cells of a tidy table.

    Returns:
        Columns cell, step, tokens, train_loss, dev (points), learning_rate, seconds. A cell whose curve is absent or
        unreadable has no rows.
    """
    layout = Layout(str(results_root))
    parts = []
    for cell in cells.loc[cells["status"] != "missing", "cell"]:
        path = Path(layout.cell(cell), CURVE)
        try:
            part = pd.read_csv(path)
        except (OSError, ValueError):
            continue
        part.insert(0, "cell", cell)
        part["dev"] = part["dev"] * POINTS
        parts.append(part)
    names = ["cell", "step", "tokens", "train_loss", "dev", "learning_rate", "seconds"]
    return pd.concat(parts, ignore_index=True)[names] if parts else pd.DataFrame(columns=names)


def _matches(planned: Mapping[str, Any]) -> tuple[str, ...]:
    several = planned.get("matches") or ([planned["match"]] if planned.get("match") else [])
    return tuple(several)


def _measured(planned: Mapping[str, Any], results_root: Path) -> dict[str, Any]:
    path = Path(Layout(str(results_root)).result(planned["cell"]))
    if not path.exists():
        return {"status": "missing", "cause": "not run"}
    try:
        record = read_result(path)
        check_files(path.parent, record, weights=False)
    except BadInput as error:
        return {"status": "missing", "cause": str(error)}
    if record.digest != planned["digest"]:
        return {
            "status": "missing",
            "cause": f"{path}: the record's digest is {record.digest}, not the plan's",
        }
    return _flat(record)


def _flat(record: CellResult) -> dict[str, Any]:
    test, dev = record.test.get(record.metric), record.dev.get(record.metric)
    scored = record.status == "done" and test is not None and test.value is not None
    cause = record.cause
    if record.status == "done" and not scored:
        cause = f"the record has no test score named {record.metric}"
    speed = record.throughput
    return {
        "status": record.status,
        "cause": cause,
        "notes": "; ".join(record.notes),
        "metric": record.metric,
        "score": _points(test) if scored else None,
        "score_se": POINTS * test.se if scored and test and test.se is not None else None,
        "score_n": test.n if test else None,
        RANK: _points(record.test.get(RANK)) if record.status == "done" else None,
        "dev": _points(dev),
        "dev_se": POINTS * dev.se if dev and dev.se is not None else None,
        "trainable": record.counts.trainable,
        "effective": record.counts.effective,
        "head_parameters": record.counts.head,
        "stored": record.counts.stored,
        "changed": record.counts.changed,
        **{key: count for key in PLANNED_COUNTS if (count := getattr(record.counts, key)) is not None},
        "best_step": record.convergence.best_step,
        "best_dev": POINTS * record.convergence.best_dev,
        "steps": record.convergence.steps,
        "train_tokens_per_s": speed.train_tokens_per_s,
        "inference_tokens_per_s": speed.inference_tokens_per_s,
        "startup_s": speed.startup_s,
        "train_s": speed.train_s,
        "evaluate_s": speed.evaluate_s,
        "wall_s": speed.wall_s,
        "peak_memory": record.peak_memory,
        "energy_j": record.energy_j,
        "hash_data": record.hashes.get("data"),
        "hash_code": record.hashes.get("code"),
        "hash_backbone": record.hashes.get("backbone"),
    }


def _points(score: Score | None) -> float | None:
    return None if score is None or score.value is None else POINTS * score.value
