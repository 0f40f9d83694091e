"""The sections of the report: the text and the tables of each experiment."""

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
    """One table of a section: the name of its CSV file, its title, and its HTML."""

    name: str
    title: str
    html: str


@dataclass(frozen=True)
class Section:
    """The section of one experiment."""

    experiment: str
    title: str
    lead: str
    tables: list[Shown]


def sections(tables: Tables, numbers_of: Mapping[str, int]) -> list[Section]:
    """The experiments in the order of the paper."""

    def show(name: str, title: str, chosen: list[Column], rows: pd.DataFrame | None = None) -> Shown:
        return Shown(name, title, html_table(tables[name] if rows is None else rows, chosen, numbers_of))

    beside = len(tables["metrics"])  # 0 if every task has one metric and one test set
    in_two_ways = len(tables.get("variants", ()))  # 0 if no method runs in two ways
    return [
        Section(
            "methods",
            "Methods by scale",
            "Mean score over tasks of each method on each backbone, with intervals over seeds, and the gaps among the "
            "parameter-efficient methods compared with the gap that noise alone produces. A rank is known as far as "
            "differences are: all ranks of a backbone lie between the two ends at once, at the level of the intervals. "
            "(Figures 1 and 3 of the paper.)",
            [
                show("methods", "Means by method and scale", columns.METHOD_MEANS, _means(tables["methods"])),
                show("gaps", "Gaps among methods", columns.GAPS),
                *([show("comparison", "Ranks and costs", columns.COMPARISON)] if "comparison" in tables else []),
                *([show("variants", "One method in two ways", columns.VARIANTS)] if in_two_ways else []),
                show("methods", "Scores by task", columns.METHOD_TASKS, _tasks(tables["methods"])),
                *([show("metrics", "Other metrics and further test sets", columns.METRICS)] if beside else []),
            ],
        ),
        Section(
            "structure",
            "Module structure at equal budgets",
            "All methods of a group train exactly the same number of parameters: a PET method, APET with adjacent "
            "entries, and APET with discrete entries. (Figure 5.)",
            [
                show("structure", "Means by group", columns.STRUCTURE_MEANS, _means(tables["structure"])),
                show("structure_gaps", "Gaps within each group", columns.STRUCTURE_GAPS),
            ],
        ),
        Section(
            "convergence",
            "Convergence speed",
            "Ratio of the steps that discrete needs to those that adjacent needs to reach a common target, paired by "
            "task and seed. A log2 ratio above 0 means that adjacent is faster. A run that does not reach the target "
            "is censored: it took longer than its last step. The ratio by the rule of convergence is shown beside it "
            "and decides nothing, because a run that still rises has converged by that rule too. (Figure 6.)",
            [show("convergence", "Ratio of steps", columns.CONVERGENCE)],
        ),
        Section(
            "threshold",
            "Parameter thresholds",
            "Score against the number of trained parameters. Horizontal lines show full fine-tuning, and dotted ones "
            "the measured score at budget 0. Bars at the bottom mark the two budgets between which a low threshold "
            "lies, and bars at the top those of a high threshold; what lies between two budgets is not known. Where "
            "budgets were searched, bars are 95 % intervals and the shaded line is the curve that the search found. A "
            "threshold outside the sweep is given as a bound (≤ or >) and has no bar. (Figure 7.)",
            [
                show("threshold", "Thresholds", columns.THRESHOLDS),
                *([show("searches", "Searches of budgets", columns.SEARCHES)] if len(tables["searches"]) else []),
                show("threshold_points", "Scores by budget", columns.THRESHOLD_POINTS),
            ],
        ),
        Section(
            "transfer",
            "Zero-shot transfer",
            "Score on a target (column) of cells trained on a source (row), as a share of the score of cells trained "
            "on the target: above chance and by rank, on which the verdicts rest, or relative as published, which "
            "counts guessing and decides nothing; a tile names the relative performance of a constant guess. The "
            "colour of a task's name shows its type. Grey tiles have no number: the metric has no meaning there "
            "(undef.), the runs are missing, or the cells trained on source or target do not score above chance (no "
            "ref.). The score leaves out test rows that the source was trained on, which happens for tasks made from "
            "the same texts. (Figure 9.)",
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
        *_efficiency(tables["efficiency"], numbers_of),
    ]


def _efficiency(table: pd.DataFrame, numbers_of: Mapping[str, int]) -> list[Section]:
    """The section of the experiment `efficiency`; none if the study does not ask for it."""
    if table.empty:
        return []
    shown = table.assign(
        memory_mib=table["memory"] / 2**20,
        gflop=table["flop"] / 1e9,
        gflop_formula=table["flop_formula"] / 1e9,
        stored_kb=table["stored_bytes"] / 1e3,
    )
    by, devices = (sorted({text for text in table[name] if text}) for name in ("memory_by", "device"))
    return [
        Section(
            "efficiency",
            "Efficiency",
            "Each method alone on its device, with warm-up: tokens per second without padding (median and quartiles "
            "over steps), of inference before and after the delta was merged where that is exact; peak memory of "
            f"training ({', '.join(by) or 'not measured'}); FLOP of one training step, counted and by the formula of "
            "the cost model; energy where the device tells it; size of the delta. Percentages of full fine-tuning are "
            "means of paired repeats, which had the same rows, with intervals over repeats. On a CPU, a share of CPU "
            f"time below 100 % says that something else ran. Device: {', '.join(devices) or 'not measured'}. "
            "(Table 5 of Lialin et al. 2024.)",
            [
                Shown(
                    "efficiency",
                    "Speed, memory, work, energy and storage",
                    html_table(shown, columns.EFFICIENCY, numbers_of, kind="dense"),
                )
            ],
        )
    ]


def table2_html(table: pd.DataFrame, numbers_of: Mapping[str, int]) -> str:
    """All of table 2: one row per backbone, method and budget, one column per task."""
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


def learnt_html(table: pd.DataFrame, numbers_of: Mapping[str, int]) -> str:
    """Which tasks count as evidence on which backbone."""
    return html_table(table, columns.LEARNT, numbers_of) if len(table) else "<p>No cells of full fine-tuning.</p>"


def rates_html(table: pd.DataFrame, numbers_of: Mapping[str, int]) -> str:
    """Learning rates that were tried, and those that were chosen."""
    return html_table(table, columns.RATES, numbers_of) if len(table) else ""


def costs_html(table: pd.DataFrame, numbers_of: Mapping[str, int]) -> str:
    """Parameters, speed, memory, energy and time."""
    shown = table.assign(
        memory=table["peak_memory"] / 2**20, energy=table["energy_j"] / 1000 if len(table) else table["energy_j"]
    )
    return html_table(shown, columns.COSTS, numbers_of, kind="dense")


def side_by_side_html(table: pd.DataFrame, numbers_of: Mapping[str, int]) -> str:
    """Comparison of the paper's numbers with this study's."""
    return html_table(table, columns.SIDE_BY_SIDE, numbers_of)


def _means(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["task"] == MEAN] if len(table) else table


def _tasks(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["task"] != MEAN] if len(table) else table
