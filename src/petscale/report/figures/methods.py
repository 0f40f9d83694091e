"""Figures of `methods`: mean score by method and scale, and the gaps (Su et al. figures 1 and 3)."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import pandas as pd

from petscale.analysis.means import MEAN
from petscale.analysis.run import Tables
from petscale.report import theme
from petscale.report.figures.figure import Figure, backbones_of, by_reading, data, hover, interval_layers, note_of, rows
from petscale.report.marks import Mark, marks_of


def figures(tables: Tables) -> list[Figure]:
    """One chart of means and one of gaps for each ladder."""
    made = []
    table, gaps, marks = tables["methods"], tables["gaps"], marks_of(tables)
    for ladder in dict.fromkeys(table.loc[table["value"].notna(), "ladder"]) if len(table) else ():
        means = table[(table["ladder"] == ladder) & (table["task"] == MEAN)]
        for suffix, reading, part in by_reading(means, ["value", "low", "high"]):
            title = f"{ladder}: mean score by method and scale{reading}"
            name = f"methods-{ladder}{suffix}"
            made.append(Figure(name, "methods", title, _means(part, marks), "methods", note_of(part)))
        own = gaps[gaps["ladder"] == ladder]
        for suffix, reading, part in by_reading(own, ["largest_gap", "sd"]):
            if part["largest_gap"].notna().any():
                title = f"{ladder}: gaps among PET methods{reading}"
                made.append(Figure(f"gaps-{ladder}{suffix}", "methods", title, _gaps(part), "gaps", note_of(part)))
    return made


def _means(table: pd.DataFrame, marks: Mapping[str, Mark]) -> alt.LayerChart:
    methods = list(dict.fromkeys(table["method"]))
    colours, shapes = [marks[method].colour for method in methods], [marks[method].shape for method in methods]
    columns = [
        "display",
        "method",
        "value",
        "low",
        "high",
        "seeds",
        "planned",
        "done",
        "difference",
        "diverged_at_chance",
    ]
    records = rows(table, columns)
    base = alt.Chart(data(records)).encode(
        x=alt.X("display:O", sort=backbones_of(table), title=None, axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("method:N", sort=methods, scale=alt.Scale(paddingOuter=1)),
        color=alt.Color("method:N", sort=methods, scale=alt.Scale(domain=methods, range=colours), title="method"),
    )
    tip = hover(
        ("display:N", "backbone", ""), ("method:N", "method", ""), ("value:Q", "mean, points", ".2f"),
        ("difference:Q", "minus full", "+.2f"), ("seeds:Q", "seeds", ""),
        ("diverged_at_chance:Q", "diverged at chance", ".2f"),
    )  # fmt: skip
    y = alt.Y("value:Q", title="mean over tasks, points", scale=alt.Scale(zero=False))
    lines = base.mark_line(strokeWidth=1.2, opacity=0.55).encode(y=y, detail="method:N")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        y=y, shape=alt.Shape("method:N", sort=methods, scale=alt.Scale(domain=methods, range=shapes)), tooltip=tip
    )
    return alt.layer(lines, *interval_layers(base, records), points)


def _gaps(table: pd.DataFrame) -> alt.LayerChart:
    names = {
        "largest_gap": "largest minus smallest",
        "null_gap": "largest gap that noise alone makes",
        "sd": "between-method sd (noise taken out)",
    }
    records = []
    for row in rows(table, ["display", "p", "seeds", *names, "sd_low", "sd_high"]):
        for key, name in names.items():
            limits = {"low": row["sd_low"], "high": row["sd_high"]} if key == "sd" else {"low": None, "high": None}
            text = (
                f"{limits['low']:.2f} to {limits['high']:.2f}"
                if limits["low"] is not None and limits["high"] is not None
                else "-"
            )
            records.append({**row, **limits, "interval": text, "measure": name, "points": row[key]})
    order = list(names.values())
    colours, shapes = [theme.BLACK, theme.GREY, theme.BLUE], ["circle", "cross", "diamond"]
    base = alt.Chart(data(records)).encode(
        x=alt.X("display:O", sort=backbones_of(table), title=None, axis=alt.Axis(labelAngle=0)),
        color=alt.Color(
            "measure:N",
            sort=order,
            scale=alt.Scale(domain=order, range=colours),
            title=None,
            legend=alt.Legend(columns=1),
        ),
    )
    tip = hover(
        ("display:N", "backbone", ""), ("measure:N", "measure", ""), ("points:Q", "points", ".2f"), ("p:Q", "p", ".4f")
    )
    y = alt.Y("points:Q", title="points")
    return alt.layer(
        base.mark_line(strokeWidth=1.2, opacity=0.6).encode(y=y, detail="measure:N"),
        *interval_layers(base, records),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            y=y, tooltip=tip,
            shape=alt.Shape("measure:N", sort=order, scale=alt.Scale(domain=order, range=shapes)),
        ),
    )  # fmt: skip
