"""Numbers of claims as text: bounds carry their sign, and an absent end of an interval is said in words."""

from __future__ import annotations

import math
from typing import Any


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
