"""The sections of the page: which figures and tables each shows, and what it says about its holes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

import pandas as pd

from petscale.analysis.means import MEAN
from petscale.analysis.run import Tables
from petscale.report import columns
from petscale.report.html_table import Column, html_table


@dataclass(frozen=True)
class Shown:
    """One table of a section: its name, what it is called, and its HTML."""

    name: str
    title: str
    html: str


@dataclass(frozen=True)
class Section:
    """An experiment on the page."""

    experiment: str
    title: str
    lead: str
    tables: list[Shown]


def sections(tables: Tables, numbers_of: Mapping[str, int]) -> list[Section]:
    """The experiments in the order of the paper."""

    def show(name: str, title: str, chosen: list[Column], rows: pd.DataFrame | None = None) -> Shown:
        return Shown(name, title, html_table(tables[name] if rows is None else rows, chosen, numbers_of))

    beside = len(tables["metrics"])  # none where every task has one metric and one test set
    return [
        Section(
            "methods",
            "Methods by scale",
            "Mean over tasks of each method on each backbone, with intervals over seeds; the gaps among the "
            "parameter-efficient methods, beside the gap that noise alone makes. "
            "(Figures 1 and 3 of the paper.)",
            [
                show("methods", "Means by method and scale", columns.METHOD_MEANS, _means(tables["methods"])),
                show("gaps", "Gaps among methods", columns.GAPS),
                show("methods", "Scores by task", columns.METHOD_TASKS, _tasks(tables["methods"])),
                *([show("metrics", "Other metrics and further test sets", columns.METRICS)] if beside else []),
            ],
        ),
        Section(
            "structure",
            "Module structure at equal budgets",
            "Each group trains exactly the parameter count of its PET method: the method itself, APET with adjacent "
            "and APET with discrete entries. (Figure 5.)",
            [
                show("structure", "Means by group", columns.STRUCTURE_MEANS, _means(tables["structure"])),
                show("structure_gaps", "Gaps within each group", columns.STRUCTURE_GAPS),
            ],
        ),
        Section(
            "convergence",
            "Convergence speed",
            "Steps of discrete over steps of adjacent, paired by task and seed: above 0, adjacent is faster. A run "
            "that never rises above its baseline has no step and is counted as censored. (Figure 6.)",
            [show("convergence", "Ratio of steps", columns.CONVERGENCE)],
        ),
        Section(
            "threshold",
            "Parameter thresholds",
            "Score against the number of trained parameters. Horizontal lines are full fine-tuning, dotted ones the "
            "measured score at budget 0; ticks at the bottom mark low thresholds, at the top high "
            "thresholds. A threshold that the sweep does not reach is given as a bound (≤ or >) and has no tick; "
            "nothing is interpolated over a hole. (Figure 7.)",
            [
                show("threshold", "Thresholds", columns.THRESHOLDS),
                show("threshold_points", "Scores by budget", columns.THRESHOLD_POINTS),
            ],
        ),
        Section(
            "transfer",
            "Zero-shot transfer",
            "Score on a target (column) of cells trained on a source (row), over the target's own score. The colour of "
            "a task's name is its type. Grey tiles have no number: the metric has no meaning there (undef.), the runs "
            "are missing, or the target's own cells do not rise above chance (no ref.). Test rows that the source was "
            "trained on (tasks cut from the same texts) are out of the score. (Figure 9.)",
            [
                show("transfer_relations", "Within and across task types", columns.TRANSFER_RELATIONS),
                show("transfer", "Every pair of tasks", columns.TRANSFER),
            ],
        ),
        Section(
            "control",
            "Does pre-training matter?",
            "The same method on the pre-trained and on a randomly initialised backbone, paired by task and seed.",
            [show("control", "Pre-trained minus random", columns.CONTROL)],
        ),
    ]


def table2_html(table: pd.DataFrame, numbers_of: Mapping[str, int]) -> str:
    """Table 2 in full: a row a backbone, method and budget, a column a task."""
    if table.empty:
        return "<p>No cells of this experiment.</p>"
    parts = []
    for ladder in dict.fromkeys(table["ladder"]):
        own = table[table["ladder"] == ladder]
        tasks = list(dict.fromkeys(own["task"]))
        rows = []
        for _, part in own.groupby(["scale", "display", "method", "trainable"], sort=False):
            first = part.iloc[0]
            row = {
                "display": first["display"],
                "method": first["method"],
                "matches": first["matches"],
                "percent": first["percent"],
                "trainable": first["trainable"],
                "cells": ";".join(part["cells"]),
                "diverged": int(part["diverged"].sum()),
                "missing": int(part["missing"].sum()),
            }
            for task, value, low, high in zip(part["task"], part["value"], part["low"], part["high"], strict=True):
                row |= {task: value, f"{task} low": low, f"{task} high": high}
            rows.append(row)
        parts.append(
            f"<h4>{escape(str(ladder))}</h4>"
            + html_table(pd.DataFrame(rows), columns.table2_columns(tasks), numbers_of, kind="dense")
        )
    return "".join(parts)


def efficiency_html(table: pd.DataFrame, numbers_of: Mapping[str, int]) -> str:
    """Parameters, speed, memory, energy and time."""
    shown = table.assign(
        memory=table["peak_memory"] / 2**20, energy=table["energy_j"] / 1000 if len(table) else table["energy_j"]
    )
    return html_table(shown, columns.EFFICIENCY, numbers_of, kind="dense")


def side_by_side_html(table: pd.DataFrame, numbers_of: Mapping[str, int]) -> str:
    """The paper's numbers beside ours."""
    return html_table(table, columns.SIDE_BY_SIDE, numbers_of)


def _means(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["task"] == MEAN] if len(table) else table


def _tasks(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["task"] != MEAN] if len(table) else table
