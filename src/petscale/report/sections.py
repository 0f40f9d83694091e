"""The sections of the page: which figures and tables each shows, and what it says about its holes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

import pandas as pd

from petscale.analysis.means import MEAN
from petscale.analysis.run import Tables
from petscale.report.html_table import Column, html_table, listed, number, significant, text

POINTS = number(1)
SIGNED = number(1, sign=True)
BIG = significant(3)


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
    mean = [
        Column("backbone", "display", text),
        Column("method", "method", text),
        Column("mean, points", "value|low|high", POINTS, True),
        Column("minus full", "difference|difference_low|difference_high", SIGNED, True),
        Column("seeds", "seeds", number(0), True),
        Column("diverged at chance", "diverged_at_chance", POINTS, True),
        Column("tasks left out", "left_out", listed),
    ]
    by_task = [
        Column("backbone", "display", text),
        Column("method", "method", text),
        Column("task", "task", text),
        Column("score, points", "value|low|high", POINTS, True),
        Column("minus full", "difference|difference_low|difference_high", SIGNED, True),
        Column("by rank of the label words", "rank_accuracy", POINTS, True),
        Column("seeds", "seeds", number(0), True),
    ]
    gap = [
        Column("backbone", "display", text),
        Column("unit", "unit", text),
        Column("largest gap", "largest_gap", number(2), True),
        Column("from noise alone", "null_gap", number(2), True),
        Column("p (shuffled methods)", "p", number(4), True),
        Column("smallest gap", "smallest_gap", number(2), True),
        Column("between-method sd", "sd|sd_low|sd_high", number(2), True),
        Column("seeds", "seeds", number(0), True),
        Column("tasks left out", "left_out", listed),
    ]
    group = [Column("group", "group", text)]
    bars = [
        Column("backbone", "display", text),
        *group,
        Column("method", "method", text),
        Column("trainable", "trainable", number(0), True),
        Column("mean, points", "value|low|high", POINTS, True),
        Column("minus PET", "difference|difference_low|difference_high", SIGNED, True),
        Column("seeds", "seeds", number(0), True),
        Column("tasks left out", "left_out", listed),
    ]
    speed = [
        Column("backbone", "display", text),
        Column("budget of", "group", text),
        Column("measure", "measure", text),
        Column("log2 ratio", "value|low|high", number(2), True),
        Column("pairs", "pairs", number(0), True),
        Column("censored", "censored", number(0), True),
        Column("adjacent first", "adjacent_first", number(0), True),
        Column("discrete first", "discrete_first", number(0), True),
        Column("seeds", "seeds", number(0), True),
        Column("tasks left out", "left_out", listed),
    ]
    budget = [
        Column("backbone", "display", text),
        Column("task", "task", text),
        Column("method", "method", text),
        Column("low", "low_censored", text),
        Column("parameters", "low_threshold|low_from|low_to", BIG, True),
        Column("high", "high_censored", text),
        Column("parameters", "high_threshold|high_from|high_to", BIG, True),
        Column("% of full past low", "jump|jump_from|jump_to", number(0), True),
        Column(
            "above baseline", "jump_above_baseline|jump_above_baseline_from|jump_above_baseline_to", number(0), True
        ),
        Column("seeds", "seeds", number(0), True),
        Column("budgets left out", "left_out", listed),
    ]
    point = [
        Column("backbone", "display", text),
        Column("task", "task", text),
        Column("method", "method", text),
        Column("budget", "budget", number(0), True),
        Column("learning rate", "learning_rate", significant(2), True),
        Column("score, points", "value|low|high", POINTS, True),
        Column("by rank of the label words", "rank_accuracy", POINTS, True),
        Column("seeds", "seeds", number(0), True),
    ]
    relation = [
        Column("backbone", "display", text),
        Column("method", "method", text),
        Column("ratio", "ratio", text),
        Column("targets", "relation", text),
        Column("%", "value|low|high", POINTS, True),
        Column("pairs", "pairs", number(0), True),
        Column("without a number", "without_number", number(0), True),
        Column("seeds", "seeds", number(0), True),
    ]
    tile = [
        Column("backbone", "display", text),
        Column("method", "method", text),
        Column("source", "source", text),
        Column("target", "target", text),
        Column("score, points", "score", POINTS, True),
        Column("target's own", "original", POINTS, True),
        Column("%", "relative|relative_low|relative_high", POINTS, True),
        Column("% above chance", "above_chance|above_chance_low|above_chance_high", POINTS, True),
        Column("status", "status", text),
    ]
    control = [
        Column("backbone", "display", text),
        Column("method", "method", text),
        Column("kind", "kind", text),
        Column("pre-trained", "pretrained", POINTS, True),
        Column("random", "random", POINTS, True),
        Column("difference", "difference|low|high", SIGNED, True),
        Column("seeds", "seeds", number(0), True),
    ]

    def show(name: str, title: str, columns: list[Column], rows: pd.DataFrame | None = None) -> Shown:
        return Shown(name, title, html_table(tables[name] if rows is None else rows, columns, numbers_of))

    return [
        Section(
            "methods",
            "Methods by scale",
            "Mean over tasks of each method on each backbone, with intervals over seeds; the gaps among the "
            "parameter-efficient methods, beside the gap that noise alone makes. "
            "(Figures 1 and 3 of the paper.)",
            [
                show("methods", "Means by method and scale", mean, _means(tables["methods"])),
                show("gaps", "Gaps among methods", gap),
                show("methods", "Scores by task", by_task, _tasks(tables["methods"])),
            ],
        ),
        Section(
            "structure",
            "Module structure at equal budgets",
            "Each group trains exactly the parameter count of its PET method: the method itself, APET with adjacent "
            "and APET with discrete entries. (Figure 5.)",
            [
                show("structure", "Means by group", bars, _means(tables["structure"])),
                show("structure_gaps", "Gaps within each group", [gap[0], *group, *gap[1:]]),
            ],
        ),
        Section(
            "convergence",
            "Convergence speed",
            "Steps of discrete over steps of adjacent, paired by task and seed: above 0, adjacent is faster. A run "
            "that never rises above its baseline has no step and is counted as censored. (Figure 6.)",
            [show("convergence", "Ratio of steps", speed)],
        ),
        Section(
            "threshold",
            "Parameter thresholds",
            "Score against the number of trained parameters. Horizontal lines are full fine-tuning, dotted ones the "
            "measured score at budget 0; ticks at the bottom mark low thresholds, at the top high "
            "thresholds. A threshold that the sweep does not reach is given as a bound (≤ or >) and has no tick; "
            "nothing is interpolated over a hole. (Figure 7.)",
            [
                show("threshold", "Thresholds", budget),
                show("threshold_points", "Scores by budget", point),
            ],
        ),
        Section(
            "transfer",
            "Zero-shot transfer",
            "Score on a target (column) of cells trained on a source (row), over the target's own score. The colour of "
            "a task's name is its type. Grey tiles have no number: the metric has no meaning there (undef.), the runs "
            "are missing, or the target's own cells do not rise above chance (no ref.). (Figure 9.)",
            [
                show("transfer_relations", "Within and across task types", relation),
                show("transfer", "Every pair of tasks", tile),
            ],
        ),
        Section(
            "control",
            "Does pre-training matter?",
            "The same method on the pre-trained and on a randomly initialised backbone, paired by task and seed.",
            [show("control", "Pre-trained minus random", control)],
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
        columns = [
            Column("backbone", "display", text),
            Column("method", "method", text),
            Column("matches", "matches", listed),
            Column("%", "percent", significant(2), True),
            *(Column(task, f"{task}|{task} low|{task} high", POINTS, True) for task in tasks),
        ]
        parts.append(
            f"<h4>{escape(str(ladder))}</h4>" + html_table(pd.DataFrame(rows), columns, numbers_of, kind="dense")
        )
    return "".join(parts)


def efficiency_html(table: pd.DataFrame, numbers_of: Mapping[str, int]) -> str:
    """Parameters, speed, memory, energy and time."""
    shown = table.assign(
        memory=table["peak_memory"] / 2**20, energy=table["energy_j"] / 1000 if len(table) else table["energy_j"]
    )
    columns = [
        Column("backbone", "display", text),
        Column("method", "method", text),
        Column("matches", "matches", listed),
        Column("trainable", "trainable", number(0), True),
        Column("%", "percent", significant(2), True),
        Column("effective", "effective", number(0), True),
        Column("stored", "stored", number(0), True),
        Column("head", "head_parameters", number(0), True),
        Column("train tokens/s", "train_tokens_per_s", BIG, True),
        Column("inference tokens/s", "inference_tokens_per_s", BIG, True),
        Column("peak memory, MiB", "memory", number(0), True),
        Column("energy, kJ", "energy", BIG, True),
        Column("train, s", "train_s", number(1), True),
        Column("evaluate, s", "evaluate_s", number(1), True),
    ]
    return html_table(shown, columns, numbers_of, kind="dense")


def side_by_side_html(table: pd.DataFrame, numbers_of: Mapping[str, int]) -> str:
    """The paper's numbers beside ours."""
    columns = [
        Column("quantity", "quantity", text),
        Column("backbone", "backbone", text),
        Column("task", "task", text),
        Column("method", "method", text),
        Column("budget of", "match", text),
        Column("ours", "ours|low|high", BIG, True),
        Column("paper", "paper", BIG, True),
        Column("to", "paper_high", BIG, True),
        Column("difference", "difference", SIGNED, True),
        Column("within noise", "within_noise", text),
    ]
    return html_table(table, columns, numbers_of)


def _means(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["task"] == MEAN] if len(table) else table


def _tasks(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["task"] != MEAN] if len(table) else table
