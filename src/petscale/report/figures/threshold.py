"""Figure of `threshold`: score against budget, one chart per ladder and task (Su et al. figure 7)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from petscale.analysis.means import REFERENCES
from petscale.analysis.run import Tables
from petscale.report.figures.figure import Figure, backbones_of, by_reading, data, hover, interval_layers, note_of, rows
from petscale.report.marks import Mark, cycle, marks_of

_ENDS = {"low": "low threshold", "high": "high threshold"}
_MARK_HOVER = hover(
    ("threshold:N", "threshold", ""),
    ("display:N", "backbone", ""),
    ("method:N", "method", ""),
    ("between:N", "budgets", ""),
)


def figures(tables: Tables) -> list[Figure]:
    """One chart for each ladder and task."""
    points, thresholds, marks = tables["threshold_points"], tables["threshold"], marks_of(tables)
    curves = tables["threshold_curves"]
    made: list[Figure] = []
    if points.empty:
        return made
    for (ladder, task), both in points.groupby(["ladder", "task"], sort=False):
        found = (
            thresholds[(thresholds["ladder"] == ladder) & (thresholds["task"] == task)]
            if len(thresholds)
            else thresholds
        )
        for suffix, reading, part in by_reading(both, ["value", "low", "high"]):
            if part[~part["method"].isin(REFERENCES)]["value"].notna().any():
                own = found[found["reading"] == part["reading"].iloc[0]] if len(found) else found
                title = f"{ladder}, {task}: score by budget{reading}"
                drawn = curves[
                    (curves["ladder"] == ladder)
                    & (curves["task"] == task)
                    & (curves["reading"] == part["reading"].iloc[0] if len(curves) else True)
                ]
                chart = _sweep(part, own, drawn, marks)
                name = f"threshold-{ladder}-{task}{suffix}"
                made.append(Figure(name, "threshold", title, chart, "threshold", note_of(part)))
    return made


def _sweep(table: pd.DataFrame, found: pd.DataFrame, curves: pd.DataFrame, marks: Mapping[str, Mark]) -> alt.LayerChart:
    """Points, with lines between the budgets of a grid, or with the curve of a search and its band."""
    displays = backbones_of(table)
    methods = [m for m in dict.fromkeys(table["method"]) if m not in REFERENCES]
    colours, _ = cycle(len(displays))
    colour = alt.Color("display:N", sort=displays, scale=alt.Scale(domain=displays, range=colours), title="backbone")
    dashes, shapes = [list(marks[method].dash) for method in methods], [marks[method].shape for method in methods]
    dash = alt.StrokeDash("method:N", sort=methods, title="method", scale=alt.Scale(domain=methods, range=dashes))
    shape = alt.Shape("method:N", sort=methods, title="method", scale=alt.Scale(domain=methods, range=shapes))
    columns = ["display", "method", "budget", "value", "low", "high", "seeds", "learning_rate"]
    records = rows(table[table["method"].isin(methods)], columns)
    swept = alt.Chart(data(records)).encode(
        x=alt.X(
            "budget:Q",
            scale=alt.Scale(type="log"),
            title="trainable parameters",
            axis=alt.Axis(format="~s", tickCount=6),
        ),
        color=colour,
    )
    tip = hover(
        ("display:N", "backbone", ""), ("method:N", "method", ""), ("budget:Q", "budget", ","),
        ("value:Q", "score, points", ".2f"), ("learning_rate:Q", "learning rate", ".1e"), ("seeds:Q", "seeds", ""),
    )  # fmt: skip
    y = alt.Y("value:Q", title="score, points")
    full = alt.Chart(data(rows(table[table["method"] == "full"], columns))).encode(y="value:Q", color=colour)
    frozen = alt.Chart(data(rows(table[table["method"] == "frozen"], columns))).encode(y="value:Q", color=colour)
    ends = _ends(found, pd.concat([table["budget"], curves["budget"]]).dropna())
    # Single cells of a search scatter, so a line through them would show noise.
    searched = set(zip(curves["display"], curves["method"], strict=True))
    joined = [record for record in records if (record["display"], record["method"]) not in searched]
    lined = swept.properties(data=data(joined)).mark_line(strokeWidth=1.5).encode(y=y, strokeDash=dash)
    lines = [lined] if joined else []  # a layer without data makes Vega warn
    layers = [
        frozen.mark_rule(strokeWidth=1, opacity=0.7, strokeDash=[2, 3]).encode(tooltip=tip),
        full.mark_rule(strokeWidth=1, opacity=0.7).encode(tooltip=tip),
        *_curves(curves, colour, dash, y),
        *lines,
        *interval_layers(swept, records, opacity=0.6),
        swept.mark_point(filled=True, size=55, opacity=1).encode(y=y, shape=shape, tooltip=tip),
    ]
    if ends:
        brackets = alt.Chart(data(ends)).mark_rule(strokeWidth=5, opacity=0.7)
        layers.append(brackets.encode(x="after:Q", x2="until:Q", y="edge:Q", color=colour, tooltip=_MARK_HOVER))
    return alt.layer(*layers)


def _curves(curves: pd.DataFrame, colour: alt.Color, dash: alt.StrokeDash, y: alt.Y) -> list[alt.Chart]:
    """The curves that searches found, with their 95 % bands."""
    if curves.empty:
        return []
    records = curves[["display", "method", "budget", "value", "low", "high"]].to_dict("records")
    chart = alt.Chart(data(records)).encode(x="budget:Q", color=colour)
    return [
        chart.mark_area(opacity=0.12).encode(y="low:Q", y2="high:Q", detail="method:N"),
        chart.mark_line(strokeWidth=1.5).encode(y=y, strokeDash=dash),
    ]


def _ends(found: pd.DataFrame, drawn: pd.Series) -> list[dict[str, Any]]:
    """Lines along the bottom (low) and the top (high) edge, between the budgets of a threshold; a bound has none.

    A search may have found no end of an interval; the line then goes to the smallest or largest budget that is drawn.
    """
    records = []
    for row in found.to_dict("records"):
        for key, name in _ENDS.items():
            if row[f"{key}_censored"] == "" and pd.notna(row[f"{key}_threshold"]):
                limits = {"low": row[f"{key}_from"], "high": row[f"{key}_to"]}
                made = rows(pd.DataFrame([{**row, **limits}]), ["display", "method"])[0]
                after, until = row[f"{key}_after"], row[f"{key}_until"]
                ends = {
                    "after": max(after, drawn.min()),
                    "until": min(until, drawn.max()),
                    "between": f"more than {after:,.0f}" + ("" if math.isinf(until) else f", at most {until:,.0f}"),
                }
                records.append({**made, **ends, "threshold": name, "edge": 0.0 if key == "low" else 100.0})
    return records
