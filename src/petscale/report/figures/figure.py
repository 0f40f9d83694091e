"""The class of a figure, and functions that all figures share: rows, tooltips, intervals, notes on missing cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import altair as alt
import pandas as pd

from petscale.analysis.readings import PUBLISHED, READINGS
from petscale.report import theme

HEIGHT = 280
STATIC_WIDTH = 460


@dataclass(frozen=True)
class Figure:
    """One chart, with the names of its SVG file and of the table that it shows."""

    name: str
    experiment: str
    title: str
    chart: alt.Chart | alt.LayerChart
    table: str
    note: str = ""  # which runs or tasks are missing

    def interactive(self) -> dict[str, Any]:
        """The Vega-Lite document for the page; the chart is as wide as its container."""
        return self._document({"width": "container"})

    def static(self) -> dict[str, Any]:
        """The Vega-Lite document for an SVG file, with its title."""
        title = {"text": self.title, "subtitle": self.note} if self.note else self.title
        return self._document({"width": STATIC_WIDTH, "title": title, "padding": 12})

    def _document(self, more: dict[str, Any]) -> dict[str, Any]:
        fixed = {"config": theme.CONFIG, "autosize": {"type": "fit", "contains": "padding"}}
        return {"height": HEIGHT, **self._chart, **fixed, **more}

    @cached_property
    def _chart(self) -> dict[str, Any]:
        # Validation would take most of the time of a report, so only the tests validate.
        document: dict[str, Any] = self.chart.to_dict(validate=False)
        return document


def by_reading(table: pd.DataFrame, values: Sequence[str]) -> list[tuple[str, str, pd.DataFrame]]:
    """The parts of a table to draw: one for each reading, or a single one if both readings have the same values.

    Args:
        table: rows with a column `reading`, in the same order for both.
        values: the columns that are drawn.

    Returns:
        For each part what to add to the figure's name, what to add to its title, and the rows.
    """
    published, knowledge = (table[table["reading"] == reading] for reading in READINGS)
    if published[list(values)].reset_index(drop=True).equals(knowledge[list(values)].reset_index(drop=True)):
        return [("", "", published)]
    return [
        ("" if reading == PUBLISHED else "-knowledge", f", {reading}", part)
        for reading, part in zip(READINGS, (published, knowledge), strict=True)
        if len(part)
    ]


def rows(table: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a table for a chart: absent and infinite numbers become null, and texts for the tooltips are added."""
    made = []
    for record in table.to_dict("records"):
        row = {column: plain(record.get(column)) for column in columns}
        row["interval"] = interval_text(record.get("low"), record.get("high"))
        row["runs"] = runs_text(str(record.get("cells", "")))
        row["holes"] = holes_text(record)
        made.append(row)
    return made


def plain(value: Any) -> Any:
    """A value in a form that JSON can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.item() if hasattr(value, "item") else value


def interval_text(low: Any, high: Any) -> str:
    """An interval as text; a row from one seed has none."""
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return "none (fewer than two seeds)"
    return f"{low:.2f} to {high:.2f}"


def runs_text(cells: str) -> str:
    """Where a number comes from, short enough for a tooltip: the path of one cell, or the common parts of several."""
    paths = [path for path in cells.split(";") if path]
    if len(paths) <= 1:
        return paths[0] if paths else "none"
    parts = [path.split("/") for path in paths]
    if any(len(part) != 4 for part in parts):
        return f"{len(paths)} cells"
    seeds = sorted({int(part[3].split("-")[0].removeprefix("seed")) for part in parts})
    named = [
        _some(sorted({part[i] for part in parts}), what) for i, what in ((0, "backbones"), (1, "tasks"), (2, "methods"))
    ]
    return f"{'/'.join(named)}/seed {', '.join(map(str, seeds))} ({len(paths)} cells)"


def holes_text(record: dict[str, Any]) -> str:
    """How many cells and which tasks are missing from a number; "complete" if none is."""
    parts = [f"{record[key]} {key}" for key in ("diverged", "missing", "censored") if record.get(key)]
    if record.get("left_out"):
        parts.append(f"without {record['left_out'].replace(';', ', ')}")
    return ", ".join(parts) if parts else "complete"


def note_of(table: pd.DataFrame) -> str:
    """How many runs and which tasks the rows of a figure lack, in one line; empty if nothing is missing."""
    parts = [
        f"{int(table[key].sum())} runs {key}" for key in ("diverged", "missing") if key in table and table[key].sum()
    ]
    left_out = dict.fromkeys(task for names in table.get("left_out", []) for task in str(names).split(";") if task)
    if left_out:
        parts.append(f"tasks left out: {', '.join(left_out)}")
    return "; ".join(parts)


def hover(*fields: tuple[str, str, str]) -> list[alt.Tooltip]:
    """Tooltip entries (field, title, format), then interval, runs and holes, which every figure shows."""
    shown = [
        alt.Tooltip(field, title=title, format=form) if form else alt.Tooltip(field, title=title)
        for field, title, form in fields
    ]
    return [
        *shown,
        alt.Tooltip("interval:N", title="interval"),
        alt.Tooltip("runs:N", title="cells"),
        alt.Tooltip("holes:N", title="holes"),
    ]


def interval_layers(base: alt.Chart, records: Iterable[dict[str, Any]], **mark: Any) -> list[alt.Chart]:
    """Vertical lines from `low` to `high`, or no layer at all if no row has an interval."""
    if not any(row["low"] is not None and row["high"] is not None for row in records):
        return []
    return [base.mark_rule(**{"strokeWidth": 1.5, **mark}).encode(y=alt.Y("low:Q", title=""), y2="high:Q")]


def data(records: Iterable[dict[str, Any]]) -> alt.InlineData:
    """Rows as inline data, so that the page loads nothing."""
    return alt.InlineData(values=list(records))


def backbones_of(table: pd.DataFrame) -> list[str]:
    """Display names of a ladder's backbones, small to large."""
    pairs = table[["scale", "display"]].drop_duplicates().sort_values("scale", kind="stable")
    return list(dict.fromkeys(pairs["display"]))


def _some(values: list[str], what: str) -> str:
    return values[0] if len(values) == 1 else f"({len(values)} {what})"
