"""All claims on all ladders, in the order of the paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from petscale.analysis.claims import budget, generalisation, performance, speed
from petscale.analysis.claims.row import ClaimRow, Evidence


def claims_table(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """One row per claim and ladder; the rows of one claim are together."""
    by_ladder = [list(_rows(one)) for one in evidence]
    return pd.DataFrame([row.columns() for same in zip(*by_ladder, strict=True) for row in same])


def claims_markdown(claims: pd.DataFrame) -> str:
    """The claims table as Markdown, for a README or a paper: verdict, statistic and interval of each claim."""
    lines = ["| claim | ladder | verdict | statistic | value | interval |", "| --- | --- | --- | --- | ---: | --- |"]
    for row in claims.to_dict("records"):
        value = f"{row['value']:.2f}" if pd.notna(row["value"]) else "–"
        interval = f"{row['low']:.2f} to {row['high']:.2f}" if pd.notna(row["low"]) else "–"
        unit = f", {row['unit']}" if isinstance(row["unit"], str) and row["unit"] else ""
        statistic = f"{row['statistic']}{unit}" if isinstance(row["statistic"], str) else ""
        cells = (row["claim"], row["ladder"], row["verdict"], statistic or "–", value, interval)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _rows(evidence: Evidence) -> Iterator[ClaimRow]:
    for unit in performance.UNITS:
        yield performance.gap_shrinks(evidence, unit)
    yield performance.all_reach_full(evidence)
    for unit in performance.UNITS:
        yield performance.structure_matters_less(evidence, unit)
    yield speed.structure_sets_speed(evidence)
    yield speed.adjacent_is_faster(evidence)
    yield budget.high_falls(evidence)
    yield budget.jump(evidence, above_baseline=False)
    yield budget.jump(evidence, above_baseline=True)
    yield budget.low_equal_over_methods(evidence)
    yield budget.low_equal_over_tasks(evidence)
    yield budget.low_rises(evidence)
    for ratio in generalisation.RATIOS:
        yield generalisation.within_beats_across(evidence, ratio)
    for ratio in generalisation.RATIOS:
        yield generalisation.scale_does_not_help(evidence, ratio)
