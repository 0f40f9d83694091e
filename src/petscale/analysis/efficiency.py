"""What each method costs: parameters, speed, memory, energy and time of the cells of the study."""

from __future__ import annotations

import numpy as np
import pandas as pd

from petscale.analysis import means

_KEYS = ["ladder", "backbone", "scale", "display", "method", "budget"]
_COUNTS = ["trainable", "effective", "head_parameters", "stored", "changed", "total"]
_COSTS = [
    "train_tokens_per_s",
    "inference_tokens_per_s",
    "peak_memory",
    "energy_j",
    "train_s",
    "evaluate_s",
    "wall_s",
]


def efficiency_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Medians over the finished cells of each backbone, method and budget, the budget sweep left out.

    Speeds are real (unpadded) tokens a second. Numbers that were not measured stay absent; energy is never 0 for want
    of a meter. Cells that share a machine with others slow one another: compare methods, not machines.
    """
    asked = [any(name != "threshold" for name in names) for names in cells["experiments"]]
    chosen = cells[pd.Series(asked, index=cells.index, dtype=bool) & ~cells["control"]]
    rows = []
    for key, part in means.groups(chosen, _KEYS):
        known = part[part["status"] != "missing"]
        medians = known[[*_COUNTS, *_COSTS]].median(numeric_only=True) if len(known) else {}
        total = medians.get("total", np.nan)
        trainable = float(part["trainable"].median())
        rows.append(
            {
                **dict(zip(_KEYS, key, strict=True)),
                "matches": ";".join(means.ordered(name for names in part["matches"] for name in names)),
                **{name: medians.get(name, np.nan) for name in _COUNTS},
                "trainable": trainable,
                "percent": 100 * trainable / total,
                **{name: medians.get(name, np.nan) for name in _COSTS},
                **means.account(part),
            }
        )
    return pd.DataFrame(rows)


def missing_table(cells: pd.DataFrame, transfers: pd.DataFrame) -> pd.DataFrame:
    """Every planned cell and transfer without a score, with the reason. An undefined metric is no hole."""
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
    return pd.concat([first, second], ignore_index=True)
