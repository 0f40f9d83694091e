"""Figures of `efficiency`: speed and memory of each method as percentages of full fine-tuning, by scale."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import pandas as pd

from petscale.analysis.run import Tables
from petscale.report import theme
from petscale.report.figures.figure import Figure, backbones_of, data, hover, interval_layers, rows
from petscale.report.marks import Mark, marks_of

_QUANTITIES = {"train": "training speed", "inference": "inference speed", "memory": "peak memory of training"}


def figures(tables: Tables) -> list[Figure]:
    """For each ladder and task one chart of training speed, one of inference speed and one of memory."""
    table = tables.get("efficiency", pd.DataFrame())
    if table.empty:
        return []
    marks, made = marks_of(tables), []
    tasks = list(dict.fromkeys(table["task"]))
    for ladder in dict.fromkeys(table["ladder"]):
        for task in tasks:
            part = table[(table["ladder"] == ladder) & (table["task"] == task)]
            for quantity, words in _QUANTITIES.items():
                if part[f"{quantity}_ratio"].notna().any():
                    of_task, suffix = (f" on {task}", f"-{task}") if len(tasks) > 1 else ("", "")
                    made.append(
                        Figure(
                            f"efficiency-{quantity}-{ladder}{suffix}",
                            "efficiency",
                            f"{ladder}: {words} of each method{of_task}",
                            _chart(part, quantity, words, marks),
                            "efficiency",
                            f"{int(part['missing'].sum())} measurements missing" if part["missing"].sum() else "",
                        )
                    )
    return made


def _chart(table: pd.DataFrame, quantity: str, words: str, marks: Mapping[str, Mark]) -> alt.LayerChart:
    methods = list(dict.fromkeys(table["method"]))
    colours, shapes = [marks[method].colour for method in methods], [marks[method].shape for method in methods]
    ratio = f"{quantity}_ratio"
    renamed = table.rename(columns={ratio: "ratio", f"{ratio}_low": "ratio_low", f"{ratio}_high": "ratio_high"})
    # The quartiles of the quantity itself have these names too.
    shown = renamed.assign(low=renamed["ratio_low"], high=renamed["ratio_high"], cells=table["records"])
    records = rows(shown, ["display", "method", "ratio", "low", "high", "repeats", "trainable"])
    base = alt.Chart(data(records)).encode(
        x=alt.X("display:O", sort=backbones_of(table), title=None, axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("method:N", sort=methods, scale=alt.Scale(paddingOuter=1)),
        color=alt.Color("method:N", sort=methods, scale=alt.Scale(domain=methods, range=colours), title="method"),
    )
    tip = hover(
        ("display:N", "backbone", ""), ("method:N", "method", ""), ("ratio:Q", "% of full fine-tuning", ".1f"),
        ("repeats:Q", "repeats", ""), ("trainable:Q", "trained parameters", ",d"),
    )  # fmt: skip
    y = alt.Y("ratio:Q", title=f"{words}, % of full fine-tuning", scale=alt.Scale(zero=False))
    level = alt.Chart(data([{"level": 100}])).mark_rule(color=theme.GREY, strokeDash=[4, 3]).encode(y="level:Q")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        y=y, shape=alt.Shape("method:N", sort=methods, scale=alt.Scale(domain=methods, range=shapes)), tooltip=tip
    )
    return alt.layer(level, *interval_layers(base, records), points)
