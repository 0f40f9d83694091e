"""Compare two studies, or two runs of one study: their scores, thresholds, verdicts and cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.interval import Estimate, difference, mean_over_tasks
from petscale.analysis.readings import PUBLISHED, read_cells
from petscale.analysis.run import make_tables
from petscale.analysis.study_plan import StudyPlan, read_plan, settings_of
from petscale.analysis.threshold import Threshold, find_thresholds
from petscale.analysis.tidy import compared, tidy
from petscale.artefacts.layout import PLAN

IDENTICAL, CHANGED, UNCHANGED, UNKNOWN = "identical", "changed", "no change shown", "no interval"

_GROUP = ["backbone", "method", "budget", "labels", "head"]


@dataclass(frozen=True)
class Side:
    """One of the two studies."""

    plan: StudyPlan
    results_root: Path
    cells: pd.DataFrame

    @classmethod
    def read(cls, folder: Path, results_root: Path | None = None) -> Side:
        """Read a study from its folder results/<study>; `results_root` holds its cells, by default the folder above it.

        Raises:
            BadInput: there is no usable plan.json in the folder.
        """
        plan = read_plan(folder / PLAN)
        root = results_root or folder.resolve().parent
        return cls(plan, root, compared(tidy(plan, root)))


def compare_cells(a: Side, b: Side) -> pd.DataFrame:
    """List the cells that only one study plans, and the cells of both whose status differs."""
    status = [side.cells.set_index("cell")["status"] for side in (a, b)]
    joined = pd.concat(status, axis=1, keys=["a", "b"]).fillna("not planned")
    changed = joined[joined["a"] != joined["b"]]
    return changed.reset_index(names="cell")


def compare_scores(a: Side, b: Side) -> pd.DataFrame:
    """Compare mean scores by backbone, method and budget (b minus a) over the tasks that both sides have.

    Seeds that both sides have are paired (the same seed means the same data order and masks). Without common seeds, the
    interval is Welch's. Budget sweeps are not compared here, but by their thresholds.
    """
    confidence = settings_of(b.plan).confidence
    own, other = _by_group(a), _by_group(b)
    rows = []
    for key, first in own.items():
        second = other.get(key)
        if second is None:
            continue
        tasks = [task for task in means.ordered(first["task"]) if task in set(second["task"])]
        if not tasks:
            continue
        same = set(first["cell"]) == set(second["cell"]) and a.results_root == b.results_root
        change = _change(first, second, tasks, confidence)
        row: dict[str, Any] = dict(zip(_GROUP, key, strict=True))
        row |= {"a": _mean(first, tasks).value, "b": _mean(second, tasks).value}
        row |= {"difference": change.value, "low": change.low, "high": change.high, "seeds": change.seeds}
        row |= {"tasks": ";".join(tasks), "outcome": IDENTICAL if same else _outcome(change)}
        rows.append(row)
    return pd.DataFrame(rows)


def compare_thresholds(a: Side, b: Side) -> pd.DataFrame:
    """Compare low and high thresholds by backbone, method and task, as log10 of the ratio b / a, as published."""
    settings = settings_of(b.plan)
    own = {_place(one): one for one in find_thresholds(read_cells(a.cells, PUBLISHED), settings)}
    rows = []
    for one in find_thresholds(read_cells(b.cells, PUBLISHED), settings):
        before = own.get(_place(one))
        if before is None:
            continue
        for name in ("low", "high"):
            now, then = getattr(one, name), getattr(before, name)
            same = one.cells == before.cells and a.results_root == b.results_root
            change = (now - then).estimate(settings.confidence)
            rows.append(
                {
                    **dict(zip(("backbone", "task", "method"), _place(one), strict=True)),
                    "threshold": name,
                    "a": 10**then.point,
                    "a_censored": then.censored,
                    "b": 10**now.point,
                    "b_censored": now.censored,
                    "difference": change.value,
                    "low": change.low,
                    "high": change.high,
                    "seeds": change.seeds,
                    "outcome": IDENTICAL if same else _outcome(change),
                }
            )
    return pd.DataFrame(rows)


def compare_claims(a: Side, b: Side) -> pd.DataFrame:
    """List the claims whose verdict differs, with the statistic and interval of each side."""
    keep = ["id", "claim", "ladder", "reading", "verdict", "value", "low", "high"]
    sides = [make_tables(side.plan, side.results_root)["claims"][keep] for side in (a, b)]
    joined = sides[0].merge(sides[1], on=["id", "claim", "ladder", "reading"], suffixes=("_a", "_b"))
    return joined[joined["verdict_a"] != joined["verdict_b"]].reset_index(drop=True)


def _scored(side: Side) -> pd.DataFrame:
    sweep = pd.Series([set(names) == {"threshold"} for names in side.cells["experiments"]], index=side.cells.index)
    return means.scored(side.cells[~sweep & ~side.cells["control"]])


def _by_group(side: Side) -> dict[tuple[str, ...], pd.DataFrame]:
    scored = _scored(side)
    # Absent budgets and heads become empty strings, because NaN is not equal to NaN and could not be a key.
    keys = pd.DataFrame({key: scored[key].map(lambda value: "" if pd.isna(value) else value) for key in _GROUP})
    return {tuple(key): scored.loc[rows] for key, rows in keys.groupby(_GROUP, sort=False).groups.items()}


def _change(first: pd.DataFrame, second: pd.DataFrame, tasks: list[str], confidence: float) -> Estimate:
    seeds = sorted(set(first["seed"]) | set(second["seed"]))
    pairs = means.matrix(second, tasks, seeds) - means.matrix(first, tasks, seeds)
    together = int((~np.isnan(pairs)).any(axis=0).sum())
    if together >= 2 and not np.isnan(pairs).all(axis=1).any():
        return mean_over_tasks(pairs, confidence)
    return difference(_mean(second, tasks), _mean(first, tasks), confidence)


def _mean(frame: pd.DataFrame, tasks: list[str]) -> Estimate:
    return mean_over_tasks(means.matrix(frame, tasks, sorted(set(frame["seed"]))))


def _outcome(change: Estimate) -> str:
    if not change.bounded:
        return UNKNOWN
    if change.low == change.high == 0:
        return IDENTICAL
    return CHANGED if change.low > 0 or change.high < 0 else UNCHANGED


def _place(one: Threshold) -> tuple[str, str, str]:
    return one.backbone, one.task, one.method
