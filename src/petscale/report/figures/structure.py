"""Figure of `structure`: groups of equal budget, one chart per backbone (Su et al. figure 5)."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import pandas as pd

from petscale.analysis.means import MEAN
from petscale.analysis.run import Tables
from petscale.report import theme
from petscale.report.figures.figure import Figure, by_reading, data, hover, interval_layers, note_of, rows
from petscale.report.marks import Mark, marks_of

_OWN = "the PET method"


def figures(tables: Tables) -> list[Figure]:
    """One chart per backbone; those of a ladder share one axis range, so that gaps can be compared by eye."""
    table, marks = tables["structure"], marks_of(tables)
    made = []
    means = table[table["task"] == MEAN] if len(table) else table
    for ladder in dict.fromkeys(means["ladder"]) if len(means) else ():
        both = means[means["ladder"] == ladder].sort_values("scale", kind="stable")
        for suffix, reading, part in by_reading(both, ["value", "low", "high"]):
            ends = part[["value", "low", "high"]]
            domain = [float(ends.min(axis=None)), float(ends.max(axis=None))]
            for display in dict.fromkeys(part.loc[part["value"].notna(), "display"]):
                own = part[part["display"] == display]
                chart = _groups(own, domain, marks)
                name = f"structure-{ladder}-{display}{suffix}".replace("/", "--")
                title = f"{display}: groups of equal budget{reading}"
                made.append(Figure(name, "structure", title, chart, "structure", note_of(own)))
    return made


def _groups(table: pd.DataFrame, domain: list[float], marks: Mapping[str, Mark]) -> alt.LayerChart:
    groups = list(dict.fromkeys(table["group"]))
    shown = table.assign(role=[_OWN if m == g else m for m, g in zip(table["method"], table["group"], strict=True)])
    roles = [_OWN, *[role for role in dict.fromkeys(shown["role"]) if role != _OWN]]
    colours = [theme.BLACK, *(marks[role].colour for role in roles[1:])]
    shapes = ["circle", *(marks[role].shape for role in roles[1:])]
    labels = {group: f"{group} ({int(part['trainable'].max()):,})" for group, part in shown.groupby("group")}
    shown = shown.assign(bar=[labels[group] for group in shown["group"]])
    columns = ["bar", "group", "role", "method", "value", "low", "high", "seeds", "difference", "trainable"]
    records = rows(shown, columns)
    base = alt.Chart(data(records)).encode(
        x=alt.X(
            "bar:O",
            sort=[labels[g] for g in groups],
            title="group (trainable parameters)",
            axis=alt.Axis(labelAngle=-20),
        ),
        xOffset=alt.XOffset("role:N", sort=roles, scale=alt.Scale(paddingOuter=1)),
        color=alt.Color("role:N", sort=roles, scale=alt.Scale(domain=roles, range=colours), title=None),
    )
    tip = hover(
        ("group:N", "group", ""), ("method:N", "method", ""), ("trainable:Q", "trainable", ","),
        ("value:Q", "mean, points", ".2f"), ("difference:Q", "minus PET", "+.2f"), ("seeds:Q", "seeds", ""),
    )  # fmt: skip
    y = alt.Y("value:Q", title="mean over tasks, points", scale=alt.Scale(zero=False, domain=domain, nice=True))
    return alt.layer(
        *interval_layers(base, records),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            y=y, tooltip=tip, shape=alt.Shape("role:N", sort=roles, scale=alt.Scale(domain=roles, range=shapes))
        ),
    )
