"""Figure of the control: pre-trained minus randomly initialised backbone, by size and kind of task."""

from __future__ import annotations

import altair as alt
import pandas as pd

from petscale.analysis.run import Tables
from petscale.report import theme
from petscale.report.figures.figure import Figure, backbones_of, data, hover, interval_layers, note_of, rows
from petscale.report.marks import cycle


def figures(tables: Tables) -> list[Figure]:
    """One chart for each ladder and method."""
    table = tables["control"]
    made: list[Figure] = []
    if table.empty:
        return made
    for (ladder, method), part in table.groupby(["ladder", "method"], sort=False):
        if part["difference"].isna().all():
            continue
        title = f"{ladder}, {method}: pre-trained minus random backbone"
        made.append(Figure(f"control-{ladder}-{method}", "control", title, _bars(part), "control", note_of(part)))
    return made


def _bars(table: pd.DataFrame) -> alt.LayerChart:
    kinds = list(dict.fromkeys(table["kind"]))
    colours, shapes = cycle(len(kinds))
    columns = ["display", "kind", "difference", "low", "high", "pretrained", "random", "seeds"]
    records = rows(table, columns)
    base = alt.Chart(data(records)).encode(
        x=alt.X("display:O", sort=backbones_of(table), title=None, axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("kind:N", sort=kinds, scale=alt.Scale(paddingOuter=1)),
        color=alt.Color("kind:N", sort=kinds, scale=alt.Scale(domain=kinds, range=colours), title="kind of task"),
    )
    tip = hover(
        ("display:N", "backbone", ""), ("kind:N", "kind", ""), ("difference:Q", "difference, points", "+.2f"),
        ("pretrained:Q", "pre-trained", ".1f"), ("random:Q", "random", ".1f"), ("seeds:Q", "seeds", ""),
    )  # fmt: skip
    zero = alt.Chart(data([{"zero": 0}])).mark_rule(color=theme.GREY, strokeDash=[4, 3]).encode(y="zero:Q")
    return alt.layer(
        zero,
        *interval_layers(base, records),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            y=alt.Y("difference:Q", title="points"), tooltip=tip,
            shape=alt.Shape("kind:N", sort=kinds, scale=alt.Scale(domain=kinds, range=shapes)),
        ),
    )  # fmt: skip
