"""Tables as HTML, with readable numbers and a button on each row that opens the cells behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

Formatter = Callable[[Any], str]


@dataclass(frozen=True)
class Column:
    """A column of an HTML table: its heading, the field of its value, and the format of the value."""

    title: str
    field: str
    form: Formatter = str
    numeric: bool = False


def number(digits: int = 1, *, sign: bool = False) -> Formatter:
    """Format a number with a fixed number of decimals; an absent one becomes a dash."""

    def form(value: Any) -> str:
        if absent(value):
            return "–"
        if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        value = round(value, digits) + 0.0  # turns -0.0 into 0.0
        return f"{value:{'+' if sign else ''},.{digits}f}".replace("-", "−")

    return form


def significant(digits: int = 3) -> Formatter:
    """Format a number of any size with at least that many significant digits; thousands are grouped."""

    def form(value: Any) -> str:
        if absent(value):
            return "–"
        if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        if value == 0:
            return "0"
        places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{round(value, places):,.{min(places, 6)}f}".replace("-", "−")

    return form


def text(value: Any) -> str:
    """Show text unchanged; absent text becomes a dash."""
    return "–" if absent(value) or value == "" else escape(str(value))


def yes_no(value: Any) -> str:
    """Show a truth value as a word."""
    return "–" if absent(value) else "yes" if value else "no"


def listed(value: Any) -> str:
    """Show a ';'-joined list with commas."""
    return "–" if absent(value) or value == "" else escape(str(value).replace(";", ", "))


def absent(value: Any) -> bool:
    """Whether a value of a table is absent, that is None or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def with_interval(row: Mapping[str, Any], field: str, low: str, high: str, form: Formatter) -> str:
    """Show `value [low, high]`, or the value with a note that there is no interval."""
    if absent(row.get(field)):
        return "–"
    if absent(row.get(low)) or absent(row.get(high)):
        return f'{form(row[field])} <span class="quiet">no interval</span>'
    return f'{form(row[field])} <span class="interval">[{form(row[low])}, {form(row[high])}]</span>'


def range_of(low: Any, high: Any, form: Formatter) -> str:
    """Show a range between two budgets, or a bound where it is open at one end."""
    if absent(low) or absent(high):
        return "–"
    below, above = low == 0 or math.isinf(low), math.isinf(high)  # a threshold of 0 parameters stands for no bound
    if below and above:
        return "anywhere"
    return f"≤ {form(high)}" if below else f"> {form(low)}" if above else f"{form(low)} to {form(high)}"


def html_table(table: pd.DataFrame, columns: Sequence[Column], numbers_of: Mapping[str, int], *, kind: str = "") -> str:
    """Make an HTML table whose last column has a button that opens the cells behind each row.

    Args:
        table: rows; a `cells` column holds ';'-joined cell paths.
        columns: the columns to show. A field `a|b|c` is a value with the two ends of its interval, `a|b` a range.
        numbers_of: cell path -> its row in the cells table.
        kind: a CSS class.
    """
    walk = "cells" in table.columns
    titles = [*(f'<th class="{"num" if c.numeric else ""}">{escape(c.title)}</th>' for c in columns)]
    if walk:
        titles.append("<th>cells</th>")
    body = []
    for row in table.to_dict("records"):
        shown = [_td(column, row) for column in columns]
        if walk:
            shown.append(f'<td data-label="cells">{walk_back(row, numbers_of)}</td>')
        body.append(f"<tr>{''.join(shown)}</tr>")
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{"".join(titles)}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _td(column: Column, row: Mapping[str, Any]) -> str:
    parts = column.field.split("|")
    if len(parts) == 2:
        shown = range_of(row.get(parts[0]), row.get(parts[1]), column.form)
    elif len(parts) == 3:
        field, low, high = parts
        shown = with_interval(row, field, low, high, column.form)
    else:
        shown = column.form(row.get(column.field))
    css = ' class="num"' if column.numeric else ""
    return f'<td{css} data-label="{escape(column.title)}">{shown}</td>'


def walk_back(row: Mapping[str, Any], numbers_of: Mapping[str, int]) -> str:
    """The button that opens the cells behind a row, with the number of those that have no score."""
    paths = [path for path in str(row["cells"] or "").split(";") if path]
    if not paths:
        return "–"
    known = " ".join(str(numbers_of[path]) for path in dict.fromkeys(paths) if path in numbers_of)
    holes = [f"{int(row[key])} {key}" for key in ("diverged", "missing") if not absent(row.get(key)) and row.get(key)]
    note = f' <span class="hole">{", ".join(holes)}</span>' if holes else ""
    count = len(dict.fromkeys(paths))
    name = f"{count} cells behind this row"
    return f'<button type="button" class="walk" data-cells="{known}" aria-label="{name}">{count}</button>{note}'
