"""The claims as HTML: an overview of all verdicts, then the statistic and rule of each."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import pandas as pd

from petscale.report.html_table import number, text, walk_back


def claims_html(claims: pd.DataFrame, numbers_of: Mapping[str, int]) -> str:
    """The claims table; its last column opens the cells behind a claim. On a narrow screen each row becomes a card."""
    rows = []
    for row in claims.to_dict("records"):
        verdict = str(row["verdict"])
        form = number(2)
        value = "–"
        if pd.notna(row["value"]):
            limits = f" [{form(row['low'])}, {form(row['high'])}]" if pd.notna(row["low"]) else " (no interval)"
            value = f"{form(row['value'])}{limits}"
        unit = quiet(row["unit"]) if value != "–" else ""
        rows.append(
            f'<tr><td data-label="claim"><strong>{text(row["claim"])}</strong></td>'
            f'<td data-label="ladder">{text(row["ladder"])}</td>'
            f'<td data-label="verdict">{badge(verdict)}</td>'
            f'<td data-label="statistic" class="stat">{value} {unit}<br>{quiet(row["statistic"])}</td>'
            f'<td data-label="decided by">{text(row["rule"])}<br>{quiet(row["n"])}</td>'
            f'<td data-label="more">{text(row["detail"])} {quiet(row["table"])}</td>'
            f'<td data-label="cells">{walk_back(row, numbers_of)}</td></tr>'
        )
    head = "".join(
        f"<th>{title}</th>" for title in ("claim", "ladder", "verdict", "statistic", "decided by", "more", "cells")
    )
    return f'<table class="claims cards"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def verdicts_html(claims: pd.DataFrame) -> str:
    """The overview of all verdicts: one row per claim, one column per ladder."""
    ladders = list(dict.fromkeys(claims["ladder"]))
    rows = []
    for claim, part in claims.groupby("claim", sort=False):
        found = dict(zip(part["ladder"], part["verdict"], strict=True))
        badges = "".join(f"<td>{badge(found[ladder])}</td>" for ladder in ladders)
        rows.append(f"<tr><td>{text(claim)}</td>{badges}</tr>")
    head = "".join(f"<th>{text(ladder)}</th>" for ladder in ladders)
    return f'<table class="verdicts"><thead><tr><th>claim</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def badge(verdict: str) -> str:
    """A verdict as a coloured word with a symbol, so that it can be read without colour."""
    return f'<span class="verdict {verdict.replace(" ", "-")}">{escape(verdict)}</span>'


def quiet(words: object) -> str:
    """Text in small grey print."""
    return f'<span class="quiet">{text(words)}</span>'
