"""Figure of variants: the paired difference of two ways of running one method, by backbone."""

from __future__ import annotations

import altair as alt
import pandas as pd

from petscale.analysis.means import MEAN
from petscale.analysis.run import Tables
from petscale.report import theme
from petscale.report.figures.figure import Figure, backbones_of, by_reading, data, hover, interval_layers, note_of, rows
from petscale.report.marks import cycle


def figures(tables: Tables) -> list[Figure]:
    """One chart for each ladder of a study with variants."""
    table = tables.get("variants", pd.DataFrame())
    made: list[Figure] = []
    for ladder in dict.fromkeys(table["ladder"]) if len(table) else ():
        means = table[(table["ladder"] == ladder) & (table["task"] == MEAN)]
        for suffix, reading, part in by_reading(means, ["difference", "low", "high"]):
            if part["difference"].notna().any():
                title = f"{ladder}: one method in two ways, first minus second{reading}"
                name = f"variants-{ladder}{suffix}"
                made.append(Figure(name, "methods", title, _points(part), "variants", note_of(part)))
    return made


def _points(table: pd.DataFrame) -> alt.LayerChart:
    shown = table.assign(pair=table["first"] + " minus " + table["second"])
    pairs = list(dict.fromkeys(shown["pair"]))
    colours, shapes = cycle(len(pairs))
    columns = ["display", "pair", "differs", "difference", "low", "high", "first_value", "second_value", "seeds"]
    records = rows(shown, columns)
    base = alt.Chart(data(records)).encode(
        x=alt.X("display:O", sort=backbones_of(shown), title=None, axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("pair:N", sort=pairs, scale=alt.Scale(paddingOuter=1)),
        color=alt.Color(
            "pair:N", sort=pairs, scale=alt.Scale(domain=pairs, range=colours), title=None,
            legend=alt.Legend(orient="bottom", columns=2, labelLimit=400),
        ),
    )  # fmt: skip
    tip = hover(
        ("display:N", "backbone", ""), ("pair:N", "pair", ""), ("differs:N", "differs in", ""),
        ("difference:Q", "difference, points", "+.2f"), ("first_value:Q", "first, points", ".1f"),
        ("second_value:Q", "second, points", ".1f"), ("seeds:Q", "seeds", ""),
    )  # fmt: skip
    zero = alt.Chart(data([{"zero": 0}])).mark_rule(color=theme.GREY, strokeDash=[4, 3]).encode(y="zero:Q")
    return alt.layer(
        zero,
        *interval_layers(base, records),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            y=alt.Y("difference:Q", title="difference, points"), tooltip=tip,
            shape=alt.Shape("pair:N", sort=pairs, scale=alt.Scale(domain=pairs, range=shapes)),
        ),
    )  # fmt: skip
