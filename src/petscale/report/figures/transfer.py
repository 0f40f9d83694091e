"""Figure of `transfer`: zero-shot score relative to training on the target, as matrices (Su et al. figure 9)."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from petscale.analysis.run import Tables
from petscale.report import theme
from petscale.report.figures.figure import Figure, data, rows

_CELL = 34


def figures(tables: Tables) -> list[Figure]:
    """One matrix for each backbone and method; tasks are ordered by type, and their names have the type's colour."""
    table = tables["transfer"]
    made: list[Figure] = []
    if table.empty:
        return made
    for (display, method), part in table.groupby(["display", "method"], sort=False):
        if part[["relative", "above_chance"]].isna().all(axis=None):
            continue
        name = f"transfer-{display}-{method}".replace("/", "--")
        title = f"{display}, {method}: zero-shot over own score"
        made.append(Figure(name, "transfer", title, _matrix(part), "transfer", _note(part)))
    return made


def _matrix(table: pd.DataFrame) -> alt.LayerChart:
    kinds = dict(zip(table["source"], table["source_kind"], strict=True)) | dict(
        zip(table["target"], table["target_kind"], strict=True)
    )
    order = sorted(
        kinds, key=lambda task: (list(dict.fromkeys(kinds.values())).index(kinds[task]), list(kinds).index(task))
    )
    records = [{**row, **_texts(row)} for row in rows(table, [
        "source", "target", "source_kind", "target_kind", "relative", "relative_low", "relative_high", "above_chance",
        "above_chance_low", "above_chance_high", "guess", "rank", "original_rank", "score", "original", "chance",
        "status", "seeds",
    ])]  # fmt: skip
    colours = _label_colours(kinds)
    pick = alt.param(
        name="ratio",
        value="above chance",
        bind=alt.binding_radio(
            options=["above chance", "relative"],
            labels=["above chance, by rank", "relative, as published"],
            name="ratio: ",
        ),
    )
    shown = alt.Chart(data(records)).transform_calculate(
        shown="ratio == 'relative' ? datum.relative : datum.above_chance",
    )
    shown = shown.transform_calculate(text="isValid(datum.shown) ? format(datum.shown, '.0f') : datum.mark")
    axes = {
        "x": alt.X(
            "target:O", sort=order, title="target", axis=alt.Axis(orient="top", labelAngle=-40, labelColor=colours)
        ),
        "y": alt.Y("source:O", sort=order, title="source", axis=alt.Axis(labelColor=colours)),
    }
    tip = [
        alt.Tooltip("source:N"), alt.Tooltip("target:N"), alt.Tooltip("chance_text:N", title="above chance, %"),
        alt.Tooltip("rank:Q", title="zero-shot by rank", format=".1f"),
        alt.Tooltip("original_rank:Q", title="own by rank", format=".1f"),
        alt.Tooltip("relative_text:N", title="relative, %"),
        alt.Tooltip("guess:Q", title="relative of a constant guess, %", format=".1f"),
        alt.Tooltip("score:Q", title="zero-shot", format=".1f"),
        alt.Tooltip("original:Q", title="own score", format=".1f"), alt.Tooltip("chance:Q", format=".0f"),
        alt.Tooltip("status:N"), alt.Tooltip("seeds:Q"), alt.Tooltip("runs:N", title="cells"),
    ]  # fmt: skip
    # Vega draws no tile whose colour is null, so a grey one is drawn below each tile.
    blank = shown.mark_rect(color="#dddddd", stroke="white").encode(**axes, tooltip=tip)
    scale = alt.Scale(scheme="cividis", domain=[0, 100], clamp=True, reverse=True)
    tiles = shown.mark_rect(stroke="white").encode(
        **axes, color=alt.Color("shown:Q", title="%", scale=scale), tooltip=tip
    )
    # The colour scale is Cividis reversed: high values are dark, so their numbers are white.
    text = shown.mark_text(fontSize=11).encode(
        **axes,
        text="text:N",
        color=alt.condition("isValid(datum.shown) && datum.shown > 55", alt.value("white"), alt.value("black")),
    )
    return alt.layer(blank, tiles, text).add_params(pick).properties(height=max(220, 120 + _CELL * len(order)))


def _note(table: pd.DataFrame) -> str:
    counts = table["status"].value_counts()
    parts = [f"{counts[status]} tiles {status}" for status in ("missing", "no reference") if status in counts]
    holes = int((table["planned"] - table["seeds"])[table["status"] == "done"].sum())
    return "; ".join([*parts, f"{holes} seeds missing in others"] if holes else parts)


def _texts(row: dict[str, Any]) -> dict[str, str]:
    marks = {"undefined": "undef.", "missing": "missing"}
    return {
        "relative_text": _number(row["relative"], row["relative_low"], row["relative_high"]),
        "chance_text": _number(row["above_chance"], row["above_chance_low"], row["above_chance_high"]),
        "mark": marks.get(row["status"], "no ref."),
    }


def _number(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" + (f" [{low:.1f}, {high:.1f}]" if low is not None and high is not None else " (no interval)")


def _label_colours(kinds: dict[str, str]) -> Any:
    names = list(dict.fromkeys(kinds.values()))
    dark = [theme.BLUE, theme.VERMILLION, "#00664b", "#8a5a00", "#8c3f6d", theme.BLACK]
    conditions = [
        {"test": f"indexof({[t for t in kinds if kinds[t] == kind]}, datum.value) >= 0", "value": dark[i % len(dark)]}
        for i, kind in enumerate(names)
    ]
    return {"condition": conditions, "value": theme.BLACK}
