"""Which tasks a backbone has learnt: only these are evidence.

Where even full fine-tuning does not rise above the untrained backbone, methods differ by noise or by whether they write
labels at all, and neither says anything about tuning. A task counts on a backbone if

    full fine-tuning - measured baseline  >= learnt.points      at the lower end of its interval over seeds,

by knowledge (`readings`), with the baseline of the same backbone, task and head: the frozen backbone where it was
measured, and never less than guessing. Writing labels is not learning, so both readings use these tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.interval import Estimate, mean_over_tasks
from petscale.analysis.threshold import tuned
from petscale.study.config.analysis import AnalysisSettings

_KEYS = ["ladder", "backbone", "scale", "display", "task", "head"]


def learnt_table(cells: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """One row per backbone, task and head with full fine-tuning: its distance to the baseline, and `learnt`.

    Args:
        cells: tidy table by knowledge.
        settings: settings of the analysis.
    """
    own = cells[~cells["control"] & (cells["labels"] == "words")]
    rows: list[dict[str, Any]] = []
    for key, part in means.groups(tuned(own[own["method"].isin(means.REFERENCES)]), _KEYS):
        full, frozen = (part[part["method"] == method] for method in ("full", "frozen"))
        if full.empty:
            continue
        gain, baseline = _gain(full, frozen, settings.confidence)
        rows.append(
            {
                **dict(zip(_KEYS, key, strict=True)),
                "baseline": baseline,
                "baseline_from": "frozen backbone" if frozen["score"].notna().any() else "guessing",
                "full": full["score"].mean(),
                **means.interval_columns(gain),
                "needed": settings.learnt.points,
                "learnt": bool(gain.bounded and gain.low >= settings.learnt.points),
                **means.account(part),
            }
        )
    columns = [*_KEYS, "baseline", "baseline_from", "full", "value", "low", "high", "needed", "learnt", "cells"]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)


@dataclass(frozen=True)
class Taught:
    """Tasks that count for a claim, and why the others do not."""

    tasks: list[str]
    left_out: list[str]

    @property
    def said(self) -> str:
        """The tasks that are left out, in one line; '' if there are none."""
        return "; ".join(self.left_out)


def taught(table: pd.DataFrame, cells: pd.DataFrame, backbones: Sequence[str]) -> Taught:
    """The tasks of some cells that are learnt on every one of the given backbones.

    Args:
        table: of `learnt_table`.
        cells: the cells of a claim; they say which tasks and which heads it needs.
        backbones: the backbones that the claim compares.
    """
    found = Taught([], [])
    known = {(row.backbone, row.task, _head(row.head)): row for row in table.itertuples(index=False)}
    part = cells[cells["backbone"].isin(list(backbones))]
    needed: dict[str, list[tuple[str, str, str]]] = {}
    for backbone, task, head in means.ordered(
        zip(part["backbone"], part["task"], part["head"].map(_head), strict=True)
    ):
        needed.setdefault(task, []).append((backbone, task, head))
    for task, places in needed.items():
        why = [_why(known.get(place), place[0]) for place in places if not _learnt(known.get(place))]
        if why:
            found.left_out.append(f"{task} ({why[0]})")
        else:
            found.tasks.append(task)
    return found


def _gain(full: pd.DataFrame, frozen: pd.DataFrame, confidence: float) -> tuple[Estimate, float]:
    task, seeds = [full["task"].iloc[0]], sorted(set(full["seed"]))
    floor = float(full["floor"].iloc[0])
    level = frozen["score"].mean() if frozen["score"].notna().any() else full["chance"].iloc[0]
    measured = means.matrix(frozen, task, seeds)
    baseline = np.maximum(np.where(np.isnan(measured), level, measured), floor)
    gain = mean_over_tasks(means.matrix(full, task, seeds) - baseline, confidence)
    return gain, float(baseline.mean())


def _learnt(row: Any) -> bool:
    return row is not None and bool(row.learnt)


def _why(row: Any, backbone: str) -> str:
    if row is None:
        return f"no full fine-tuning on {backbone}"
    if np.isnan(row.low):
        return f"no interval of full fine-tuning on {backbone}"
    return (
        f"full fine-tuning lies {row.value:.1f} points [{row.low:.1f}, {row.high:.1f}] above the baseline on "
        f"{backbone}; {row.needed:g} are needed"
    )


def _head(head: Any) -> str:
    return head if isinstance(head, str) else ""
