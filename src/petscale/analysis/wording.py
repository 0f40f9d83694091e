"""Numbers of claims as text: bounds carry their sign, and an absent end of an interval is said in words."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from petscale.analysis.verdict import NOT_MEASURABLE


def value_text(value: float, sign: Any = "", digits: int = 2) -> str:
    """A number with its sign if it is only a bound, such as "≤ 0.53"; "–" if there is none."""
    if math.isnan(value):
        return "–"
    mark = {"<=": "≤ ", ">=": "≥ "}.get(sign if isinstance(sign, str) else "", "")
    return f"{mark}{value:.{digits}f}"


def interval_text(low: float, high: float, digits: int = 2) -> str:
    """An interval as text: "a to b", "at most b", "at least a", "without bounds", or "–" if there is none."""
    if math.isnan(low) or math.isnan(high):
        return "–"
    if math.isinf(low):
        return "without bounds" if math.isinf(high) else f"at most {high:.{digits}f}"
    return f"at least {low:.{digits}f}" if math.isinf(high) else f"{low:.{digits}f} to {high:.{digits}f}"


def power_texts(claims: pd.DataFrame, power: pd.DataFrame) -> list[str]:
    """The power of each row of a claims table, such as "85 %"; "–" where a claim is not measurable or has no power.

    Args:
        claims: the claims table.
        power: of `power_table.power_table`; it may have no rows.
    """
    known = {(row["id"], row["ladder"], row["reading"]): row["decided"] for row in power.to_dict("records")}
    shares = [
        None if row["verdict"] == NOT_MEASURABLE else known.get((row["id"], row["ladder"], row["reading"]))
        for row in claims.to_dict("records")
    ]
    return ["–" if share is None else f"{100 * share:.0f} %" for share in shares]


def power_meaning(power: pd.DataFrame) -> str:
    """What the power of a claim means, in one sentence with the scatter and the draws from which it was computed."""
    first = power.iloc[0]
    return (
        "the chance that this study would decide this claim if the effects were as the paper says and cells scatter as "
        f"they did here (by {first['seed_sd']:.1f} points over seeds; {first['draws']} simulated studies)"
    )
