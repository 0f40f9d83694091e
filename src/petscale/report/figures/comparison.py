"""Figure of the head-to-head comparison: score against trained parameters, memory and speed of each method."""

from __future__ import annotations

from typing import Literal

import altair as alt
import pandas as pd

from petscale.analysis.run import Tables
from petscale.report import theme
from petscale.report.figures.figure import Figure, by_reading, data, hover, interval_layers, note_of, rows

FEWEST = 6
"""With fewer methods the table shows at a glance what a figure of costs would."""

_COSTS: dict[str, tuple[str, Literal["log", "linear"]]] = {
    "trainable": ("trained parameters", "log"),
    "memory_ratio": ("peak memory, ratio to full", "linear"),
    "train_ratio": ("training tokens a second, ratio to full", "linear"),
}
_ON, _OFF = "no method scores higher with fewer parameters", "another does"


def figures(tables: Tables) -> list[Figure]:
    """For each backbone with enough methods one chart for each cost that was measured."""
    table = tables.get("comparison", pd.DataFrame())
    made: list[Figure] = []
    for display in dict.fromkeys(table["display"]) if len(table) else ():
        both = table[table["display"] == display]
        for suffix, reading, part in by_reading(both, ["value", "low", "high"]):
            known = part[part["value"].notna()]
            for cost, (words, _) in _COSTS.items():
                if len(known) >= FEWEST and known[cost].notna().any():
                    name = f"comparison-{display}-{cost.removesuffix('_ratio')}{suffix}".replace("/", "--")
                    title = f"{display}: score against {words}{reading}"
                    made.append(Figure(name, "methods", title, _points(known, cost), "comparison", note_of(known)))
    return made


def _points(table: pd.DataFrame, cost: str) -> alt.LayerChart:
    title, scale = _COSTS[cost]
    known = table[table[cost].notna()]
    shown = known.assign(place=[_ON if on else _OFF for on in known["frontier"]])
    columns = ["method", "value", "low", "high", "seeds", "rank", "rank_low", "rank_high", "place", cost]
    records = rows(shown, columns)
    base = alt.Chart(data(records)).encode(
        x=alt.X(f"{cost}:Q", title=title, scale=alt.Scale(type=scale, zero=False)),
        color=alt.Color(
            "place:N", title=None, scale=alt.Scale(domain=[_ON, _OFF], range=[theme.BLACK, theme.GREY]),
            legend=alt.Legend(orient="bottom"),
        ),
    )  # fmt: skip
    tip = hover(
        ("method:N", "method", ""), ("value:Q", "mean, points", ".1f"), ("rank:Q", "rank", ""),
        ("rank_low:Q", "rank at best", ""), ("rank_high:Q", "rank at worst", ""), (f"{cost}:Q", title, ",.3~g"),
        ("seeds:Q", "seeds", ""),
    )  # fmt: skip
    y = alt.Y("value:Q", title="mean over tasks, points", scale=alt.Scale(zero=False))
    return alt.layer(
        *interval_layers(base, records),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=y, tooltip=tip),
        base.mark_text(align="left", dx=6, dy=-4, fontSize=9).encode(y=y, text="method:N"),
    )
