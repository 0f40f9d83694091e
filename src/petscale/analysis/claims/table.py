"""All claims on all ladders, in the order of the paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from petscale.analysis.claims import budget, generalisation, performance, speed
from petscale.analysis.claims.row import ClaimRow, Evidence


def claims_table(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """One row a claim and ladder, the ladders of a claim together."""
    by_ladder = [list(_rows(one)) for one in evidence]
    return pd.DataFrame([row.columns() for same in zip(*by_ladder, strict=True) for row in same])


def claims_markdown(claims: pd.DataFrame) -> str:
    """The claims table as Markdown, for a README or a paper: a row a claim, a column a ladder.

    Each ladder's cell has the verdict, the statistic's value and its confidence interval where it has one.
    """
    ladders = list(dict.fromkeys(claims["ladder"]))
    lines = [f"| claim | statistic | {' | '.join(ladders)} |", f"| --- | --- |{' --- |' * len(ladders)}"]
    for claim, part in claims.groupby("claim", sort=False):
        told = {row["ladder"]: _cell(row) for row in part.to_dict("records")}
        statistic = next((f"{row['statistic']}" for row in part.to_dict("records") if row["statistic"]), "")
        lines.append(f"| {claim} | {statistic} | {' | '.join(told[ladder] for ladder in ladders)} |")
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, object]) -> str:
    numbers = [f"{row[name]:.2f}" for name in ("value", "low", "high") if pd.notna(row[name])]
    interval = f" [{numbers[1]}, {numbers[2]}]" if len(numbers) == 3 else ""
    return f"**{row['verdict']}** {numbers[0]}{interval}" if numbers else f"**{row['verdict']}**"


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
