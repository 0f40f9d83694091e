"""Figures of `convergence`: ratios of steps and dev curves of adjacent and discrete (Su et al. figure 6)."""

from __future__ import annotations

import altair as alt
import pandas as pd

from petscale.analysis.readings import PUBLISHED
from petscale.analysis.run import Tables
from petscale.report import theme
from petscale.report.figures.figure import Figure, backbones_of, by_reading, data, hover, interval_layers, rows

_STRUCTURES = ["adjacent", "discrete"]


def figures(tables: Tables) -> list[Figure]:
    """For each ladder a chart of the ratio of steps by scale, then for each backbone one of the mean dev curves."""
    made = []
    runs, curves, ratios = tables["convergence_runs"], tables["curves"], tables["convergence"]
    for ladder in dict.fromkeys(runs["ladder"]) if len(runs) else ():
        part = ratios[ratios["ladder"] == ladder] if len(ratios) else ratios
        if len(part) and part["value"].notna().any():
            for suffix, reading, rung in by_reading(part, ["value", "low", "high"]):
                title = f"{ladder}: steps of discrete over steps of adjacent{reading}"
                name = f"convergence-{ladder}{suffix}"
                made.append(Figure(name, "convergence", title, _ratios(rung), "convergence", _censored(rung)))
        own = runs[(runs["ladder"] == ladder) & (runs["reading"] == PUBLISHED)].sort_values("scale", kind="stable")
        for display in dict.fromkeys(own["display"]):
            rung = own[own["display"] == display]
            mean = _mean_curves(rung, curves)
            if len(mean):
                name = f"curves-{ladder}-{display}".replace("/", "--")
                made.append(
                    Figure(
                        name, "convergence", f"{display}: dev score by step", _curves(mean), "curves", _outcomes(rung)
                    )
                )
    return made


def _censored(ratios: pd.DataFrame) -> str:
    ours = ratios[ratios["measure"] == "common target"]
    censored, rising = int(ours["censored"].sum()), int(ours["still_rising"].sum())
    parts = [f"{censored} pairs censored, diverged or missing"] if censored else []
    return "; ".join([*parts, f"{rising} runs still rise at their end"] if rising else parts)


def _outcomes(runs: pd.DataFrame) -> str:
    counts = runs.loc[runs["outcome"] != "converged", "outcome"].value_counts()
    rising = int(runs["still_rising"].sum())
    parts = [f"{count} runs {outcome}" for outcome, count in counts.items()]
    return "; ".join([*parts, f"{rising} runs still rise at their end"] if rising else parts)


def _mean_curves(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    # Only pairs of finished runs are averaged: the curve of a diverged run ends early, and the mean would jump there.
    ended = runs[~runs["outcome"].isin(["missing", "diverged"])]
    pairs = ended.groupby(["task", "group", "seed"])["structure"].transform("nunique") == 2
    joined = curves.dropna(subset=["dev"]).merge(ended.loc[pairs, ["cell", "structure", "task", "group"]], on="cell")
    if joined.empty:
        return joined
    # Seeds are averaged before tasks, so that a task with a missing seed has the same weight as the others.
    by_task = joined.groupby(["structure", "step", "task", "group"], as_index=False)["dev"].mean()
    mean = by_task.groupby(["structure", "step"], as_index=False)["dev"].mean()
    cells = joined.groupby("structure")["cell"].unique().map(";".join)
    return mean.assign(cells=mean["structure"].map(cells))


def _curves(table: pd.DataFrame) -> alt.LayerChart:
    base = alt.Chart(data(rows(table, ["structure", "step", "dev"]))).encode(
        x=alt.X("step:Q", title="training step"),
        y=alt.Y("dev:Q", title="dev score, points", scale=alt.Scale(zero=False)),
        color=alt.Color("structure:N", scale=_scale(), title=None),
    )
    tip = [
        alt.Tooltip("structure:N"), alt.Tooltip("step:Q"), alt.Tooltip("dev:Q", format=".2f"),
        alt.Tooltip("runs:N", title="cells"),
    ]  # fmt: skip
    return alt.layer(
        base.mark_line(strokeWidth=2).encode(strokeDash=alt.StrokeDash("structure:N", sort=_STRUCTURES, legend=None)),
        base.mark_point(size=40, filled=True, opacity=0.9).encode(
            shape=alt.Shape(
                "structure:N", scale=alt.Scale(domain=_STRUCTURES, range=["triangle-right", "triangle-left"])
            ),
            tooltip=tip,
        ),
    )


def _ratios(table: pd.DataFrame) -> alt.LayerChart:
    order = ["common target", "rule"]
    columns = ["display", "group", "measure", "value", "low", "high", "seeds", "pairs", "censored"]
    records = rows(table, columns)
    base = alt.Chart(data(records)).encode(
        x=alt.X("display:O", sort=backbones_of(table), title=None, axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("measure:N", sort=order, scale=alt.Scale(paddingOuter=1)),
        color=alt.Color(
            "measure:N", sort=order, scale=alt.Scale(domain=order, range=[theme.BLUE, theme.ORANGE]), title=None
        ),
    )
    tip = hover(
        ("display:N", "backbone", ""), ("group:N", "budget of", ""), ("measure:N", "measure", ""),
        ("value:Q", "log2 ratio", ".2f"), ("pairs:Q", "pairs", ""), ("censored:Q", "censored", ""),
        ("seeds:Q", "seeds", ""),
    )  # fmt: skip
    y = alt.Y("value:Q", title="log2 ratio of steps")
    zero = alt.Chart(data([{"zero": 0}])).mark_rule(color=theme.GREY, strokeDash=[4, 3]).encode(y="zero:Q")
    return alt.layer(
        zero,
        *interval_layers(base, records),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            y=y,
            tooltip=tip,
            shape=alt.Shape("measure:N", sort=order, scale=alt.Scale(domain=order, range=["circle", "square"])),
        ),
    )


def _scale() -> alt.Scale:
    return alt.Scale(domain=_STRUCTURES, range=[theme.VERMILLION, theme.PURPLE])
