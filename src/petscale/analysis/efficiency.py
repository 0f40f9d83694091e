"""Tables of the experiment `efficiency`: what was measured alone on its device, and its ratio to full fine-tuning."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.interval import mean_over_tasks
from petscale.analysis.study_plan import StudyPlan
from petscale.cells.efficiency import EfficiencyRecord, Speed, read_efficiency
from petscale.errors import BadInput
from petscale.study.config.analysis import AnalysisSettings

REFERENCE = "full"
COMPARED = ("train", "inference", "merged", "memory", "flop", "energy")
"""Quantities that are compared with full fine-tuning; inference after a merge is compared with its inference."""

_PLANNED = ("measurement", "ladder", "backbone", "scale", "task", "method", "seed", "trainable", "total", "path")
_SPREAD = ("train", "inference", "merged")
_MEASURED = (
    *(f"{name}{end}" for name in _SPREAD for end in ("", "_low", "_high")),
    "merged_difference", "memory", "flop", "flop_formula", "energy", "stored_bytes", "deployed", "cpu_percent",
)  # fmt: skip
_KEYS = ["ladder", "backbone", "scale", "display", "task", "method"]


def measurements_table(plan: StudyPlan, results_root: Path) -> pd.DataFrame:
    """One row per planned measurement, in the order of the plan.

    Speeds are tokens per second without padding, with quartiles over steps; `memory` is bytes; `flop` that of one
    training step, counted and by the formula of the cost model; `energy` joules of training per thousand tokens.
    `cpu_percent` is the CPU time of the measured training steps as a share of their time: below 100 on a CPU, something
    else used it. A record that is absent or cannot be read leaves its numbers absent; `cause` says why.
    """
    rungs = {rung["name"]: rung["display"] for ladder in plan["ladders"] for rung in ladder["backbones"]}
    rows = []
    for planned in plan.get("measurements", ()):
        row: dict[str, Any] = {key: planned[key] for key in _PLANNED}
        row |= dict.fromkeys(_MEASURED) | {"display": rungs[row["backbone"]]}
        rows.append(row | _outcome(results_root / planned["path"], planned["digest"]))
    columns = [*_PLANNED, "display", "status", "cause", "device", "memory_by", "not_merged", *_MEASURED]
    return pd.DataFrame(rows, columns=columns, dtype=object).astype(dict.fromkeys(_MEASURED, float))


def _outcome(path: Path, digest: str) -> dict[str, Any]:
    if not path.exists():
        return {"status": "missing", "cause": "not run"}
    try:
        record = read_efficiency(path)
    except BadInput as error:
        return {"status": "missing", "cause": str(error)}
    if record.digest != digest:
        return {"status": "missing", "cause": f"{path}: the record's digest is {record.digest}, not the plan's"}
    return {"status": "done", **_flat(record)}


def _flat(record: EfficiencyRecord) -> dict[str, Any]:
    training = record.training
    return {
        "device": record.device,
        "memory_by": record.memory_by,
        "not_merged": record.not_merged,
        **_spread("train", training),
        **_spread("inference", record.inference),
        **(_spread("merged", record.merged.speed) if record.merged else {}),
        "merged_difference": record.merged.difference if record.merged else None,
        "memory": record.peak_memory,
        "flop": record.work.counted,
        "flop_formula": record.work.formula,
        "energy": None if training.energy_j is None else 1_000 * training.energy_j / training.tokens,
        "stored_bytes": record.sizes.stored_bytes,
        "deployed": record.sizes.deployed,
        "cpu_percent": 100 * training.cpu_s / training.seconds,
    }


def _spread(name: str, speed: Speed) -> dict[str, float]:
    return {name: speed.median, f"{name}_low": speed.low, f"{name}_high": speed.high}


def efficiency_table(measurements: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Medians over the repeats of each method, and ratios to full fine-tuning in percent (Lialin et al. 2024, table 5).

    A repeat of a method and one of full fine-tuning are a pair if they have the same backbone, task, seed and device:
    both had the same rows in the same order. With r_s the ratio of pair s, the ratio of a row and its interval are

        100 exp(mean_s log r_s),     100 exp(mean_s log r_s +- t(S-1) se)

    One repeat gives no interval. What was not measured stays absent, never 0.
    """
    rows = []
    for key, part in means.groups(measurements, _KEYS):
        found = dict(zip(_KEYS, key, strict=True))
        same = [measurements[name] == found[name] for name in ("backbone", "task")]
        full = measurements[same[0] & same[1] & (measurements["method"] == REFERENCE)]
        done = part[part["status"] == "done"]
        trainable = int(part["trainable"].iloc[0])
        row: dict[str, Any] = {
            **found,
            "trainable": trainable,
            "percent": 100 * trainable / int(part["total"].iloc[0]),
            **{name: done[name].median() if len(done) else np.nan for name in _MEASURED},
        }
        for name in COMPARED:
            row |= _ratio(part, full, name, settings)
        rows.append(
            row
            | {
                "device": ";".join(means.ordered(done["device"])),
                "memory_by": ";".join(means.ordered(done["memory_by"])),
                "not_merged": next(iter(done["not_merged"].dropna()), None),
                "repeats": len(done),
                "planned": len(part),
                "missing": len(part) - len(done),
                "records": ";".join(part["path"]),
            }
        )
    ratios = [f"{name}_ratio{end}" for name in COMPARED for end in ("", "_low", "_high")]
    columns = [
        *_KEYS, "trainable", "percent", *_MEASURED, *ratios, "device", "memory_by", "not_merged", "repeats", "planned",
        "missing", "records",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _ratio(part: pd.DataFrame, full: pd.DataFrame, name: str, settings: AnalysisSettings) -> dict[str, float]:
    """The ratio of a quantity to that of full fine-tuning, with its interval over repeats."""
    other = "inference" if name == "merged" else name
    pairs = part.merge(full, on=["seed", "device"], suffixes=("", "_full"))
    own = pairs[name].to_numpy(float)
    reference = pairs[f"{other}_full"].to_numpy(float)
    logs = np.log(own / reference) if len(pairs) else np.zeros(0)
    found = mean_over_tasks(logs[np.newaxis], settings.confidence)
    ends = {"": found.value, "_low": found.low, "_high": found.high}
    return {f"{name}_ratio{end}": 100 * math.exp(value) for end, value in ends.items()}
