"""Learning rates that were tried with one seed, and the one of each method that all seeds repeated."""

from __future__ import annotations

import math

import pandas as pd

from petscale.analysis.study_plan import StudyPlan
from petscale.search.rates import Try, best_rate, edge_of

_KEYS = ("ladder", "backbone", "scale", "task", "kind", "method", "structure", "budget")
_COLUMNS = [*_KEYS, "display", "seed", "rates", "devs", "chosen", "dev", "edge", "note", "cells"]
_LOSSES = ["ladder", "backbone", "task", "method", "loss", "cells"]
_BEYOND = {
    "lowest": "the lowest rate that was tried; a better one may lie below",
    "highest": "the highest rate that was tried; a better one may lie above",
}


def rates_table(plan: StudyPlan, cells: pd.DataFrame) -> pd.DataFrame:
    """One row for each search for a rate whose tries are all there.

    Columns: the keys of the cells, `seed` that tried the rates, `rates` and their best dev scores `devs` (points,
    'diverged' where a cell did), `chosen` with its `dev`, `edge` (lowest, highest or '') with a `note` in words, and
    `cells` that tried.
    """
    by_path = cells.set_index("cell")
    rows = []
    for search in plan.get("rate_searches", ()):
        found = by_path.reindex(search["tries"])
        if not found["status"].isin(["done", "diverged"]).all():
            continue
        devs = found["best_dev"].where(found["status"] == "done")
        tries = [
            Try(learning_rate=rate, dev=None if pd.isna(dev) else dev)
            for rate, dev in zip(search["rates"], devs, strict=True)
        ]
        chosen = best_rate(tries)
        edge = None if chosen is None else edge_of(tries, chosen)
        rows.append(
            {
                **{key: search[key] for key in _KEYS},
                "display": found["display"].iloc[0],
                "seed": search["seeds"][0],
                "rates": tuple(f"{rate:g}" for rate in search["rates"]),
                "devs": tuple("diverged" if pd.isna(dev) else f"{dev:.1f}" for dev in devs),
                "chosen": chosen,
                "dev": devs.max(),
                "edge": edge or "",
                "note": "every rate diverged" if chosen is None else _BEYOND.get(edge or "", ""),
                "cells": tuple(search["tries"]),
            }
        )
    return pd.DataFrame(rows, columns=_COLUMNS)


def losses_table(plan: StudyPlan, cells: pd.DataFrame) -> pd.DataFrame:
    """What each method loses at the rates that were tried, one row for each search for a rate.

    Columns: the place and method of the search, `loss` (the best dev score of its tries minus their mean, in points; a
    diverged one counts at chance; absent while a try is missing), and `cells` that tried.
    """
    by_path = cells.set_index("cell")
    rows = []
    for search in plan.get("rate_searches", ()):
        found = by_path.reindex(search["tries"])
        devs = found["best_dev"].where(found["status"] == "done", found["chance"])
        known = found["status"].isin(["done", "diverged"]).all()
        loss = float(devs.max() - devs.mean()) if known else math.nan
        rows.append({**{key: search[key] for key in _LOSSES[:4]}, "loss": loss, "cells": tuple(search["tries"])})
    return pd.DataFrame(rows, columns=_LOSSES)
