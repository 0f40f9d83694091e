"""Tables of costs: parameters, speed, memory, energy and time of the cells; and the table of missing cells."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.tidy import PLANNED_COUNTS

_KEYS = ["ladder", "backbone", "scale", "display", "method", "budget"]
_COUNTS = ["trainable", "effective", "head_parameters", "stored", "changed", "total", *PLANNED_COUNTS]
_EXPERIMENTS = {"methods", "structure"}
_SPEEDS = ["train_tokens_per_s", "inference_tokens_per_s"]
_COSTS = [*_SPEEDS, "peak_memory", "energy_j", "train_s", "evaluate_s", "wall_s"]


def costs_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Medians over the finished cells of each backbone, method and budget.

    The cells are those of the experiments `methods` and `structure`, on the tasks that all methods of a backbone have:
    tasks differ in length, so medians over different tasks would compare tasks. Speeds count real (unpadded) tokens per
    second. Numbers that were not measured stay absent; energy without a meter is absent, not 0. Cells that run at the
    same time on one machine slow each other down, so compare methods of one study, not machines; the experiment
    `efficiency` measures each method alone.
    """
    asked = [not _EXPERIMENTS.isdisjoint(names) for names in cells["experiments"]]
    chosen = cells[pd.Series(asked, index=cells.index, dtype=bool) & ~cells["control"]]
    common: dict[Hashable, list[str]] = {
        backbone: means.common_tasks(rung, ["method", "budget"])[0]
        for (backbone,), rung in means.groups(chosen, ["backbone"])
    }
    rows = []
    for key, whole in means.groups(chosen, _KEYS):
        part = whole[whole["task"].isin(common[whole["backbone"].iloc[0]])]
        known = part[part["status"] == "done"].copy()
        # A cell that does not train (method `frozen`) has no training speed; a speed of 0 would lower the median.
        known[_SPEEDS] = known[_SPEEDS].replace(0.0, np.nan)
        medians = known[[*_COUNTS, *_COSTS]].median(numeric_only=True) if len(known) else {}
        total = medians.get("total", np.nan)
        trainable = float(whole["trainable"].median())
        rows.append(
            {
                **dict(zip(_KEYS, key, strict=True)),
                "matches": ";".join(means.ordered(name for names in whole["matches"] for name in names)),
                **{name: medians.get(name, np.nan) for name in _COUNTS},
                "trainable": trainable,
                "percent": 100 * trainable / total,
                **{name: medians.get(name, np.nan) for name in _COSTS},
                "tasks": ";".join(means.ordered(part["task"])),
                **means.account(whole),
            }
        )
    # A study of searches alone has no such cells; the page still names the columns.
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=[*_KEYS, *_COUNTS, "percent", *_COSTS], dtype=float)


def missing_table(cells: pd.DataFrame, transfers: pd.DataFrame, measurements: pd.DataFrame) -> pd.DataFrame:
    """List every planned cell and transfer without a score and every measurement without a record, with the reason.

    Undefined transfers are not missing.
    """
    holes = cells[cells["score"].isna()]
    first = holes[["cell", "status", "cause", "experiments"]].assign(
        experiments=[";".join(names) for names in holes["experiments"]]
    )
    planned = transfers[(transfers["path"] != "") & (transfers["status"] == "missing")]
    second = pd.DataFrame(
        {
            "cell": planned["path"],
            "status": planned["status"],
            "cause": planned["cause"],
            "experiments": "transfer",
        }
    )
    unmeasured = measurements[measurements["status"] == "missing"]
    third = pd.DataFrame(
        {
            "cell": unmeasured["path"],
            "status": unmeasured["status"],
            "cause": unmeasured["cause"],
            "experiments": "efficiency",
        }
    )
    return pd.concat([first, second, third], ignore_index=True)
