"""The claims as HTML: an overview of all verdicts, then the statistic and rule of each."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from petscale.analysis.readings import MEANING, READINGS
from petscale.analysis.verdict import NOT_MEASURABLE
from petscale.analysis.wording import interval_text, power_texts, value_text
from petscale.report.html_table import text, walk_back


def claims_html(claims: pd.DataFrame, power: pd.DataFrame, numbers_of: Mapping[str, int]) -> str:
    """The claims table; its last column opens the cells behind a claim. On a narrow screen each row becomes a card.

    Without rows of `power` there is no column for it.
    """
    rows = []
    for row, chance in zip(claims.to_dict("records"), power_texts(claims, power), strict=True):
        value = value_text(row["value"], row["sign"])
        interval = interval_text(row["low"], row["high"])
        shown = value if interval == "–" else f"{value} [{interval}]"
        unit = quiet(row["unit"]) if value != "–" else ""
        p = f"p {row['p']:.3f}, adjusted {row['adjusted_p']:.3f}" if row["p"] < 1 else ""
        likely = f'<td data-label="power">{escape(chance)}</td>' if len(power) else ""
        left_out = f"<br>Not counted: {text(row['not_counted'])}" if row["not_counted"] else ""
        rows.append(
            f'<tr><td data-label="claim"><strong>{text(row["claim"])}</strong></td>'
            f'<td data-label="ladder">{text(row["ladder"])}<br>{quiet(row["reading"])}</td>'
            f'<td data-label="verdict">{badge(str(row["verdict"]))}</td>'
            f"{likely}"
            f'<td data-label="statistic" class="stat">{escape(shown)} {unit}<br>{quiet(row["statistic"])}</td>'
            f'<td data-label="decided by">{text(row["rule"])}<br>{quiet(row["n"])}<br>{quiet(p)}</td>'
            f'<td data-label="more">{text(row["detail"])}{left_out} {quiet(row["table"])}</td>'
            f'<td data-label="cells">{walk_back(row, numbers_of)}</td></tr>'
        )
    chances = ["power"] if len(power) else []
    titles = ("claim", "ladder", "verdict", *chances, "statistic", "decided by", "more", "cells")
    head = "".join(f"<th>{title}</th>" for title in titles)
    return f'<table class="claims cards"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def verdicts_html(claims: pd.DataFrame) -> str:
    """The overview of all verdicts: one row per claim, for each ladder the two readings side by side.

    A verdict that is none has the reason below it.
    """
    ladders = list(dict.fromkeys(claims["ladder"]))
    rows = []
    for claim, part in claims.groupby("claim", sort=False):
        found = {(row["ladder"], row["reading"]): row for row in part.to_dict("records")}
        badges = "".join(
            f'<td data-label="{escape(f"{ladder}, {reading}")}">{_told(found[ladder, reading])}</td>'
            for ladder in ladders
            for reading in READINGS
        )
        rows.append(f"<tr><td>{text(claim)}</td>{badges}</tr>")
    top = "".join(f'<th colspan="2">{text(ladder)}</th>' for ladder in ladders)
    below = "".join(f"<th>{reading}</th>" for _ in ladders for reading in READINGS)
    return (
        f'<table class="verdicts cards"><thead><tr><th rowspan="2">claim</th>{top}</tr><tr>{below}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def readings_html() -> str:
    """What each reading means, in one sentence each."""
    return "".join(f"<p><strong>{reading}</strong>: {escape(meaning)}.</p>" for reading, meaning in MEANING.items())


def _told(row: Mapping[str, Any]) -> str:
    """A verdict; where it is none, with the first part of the reason."""
    verdict = str(row["verdict"])
    if verdict != NOT_MEASURABLE:
        return badge(verdict)
    return f"{badge(verdict)}<br>{quiet(str(row['detail']).split(';')[0])}"


def badge(verdict: str) -> str:
    """A verdict as a coloured word with a symbol, so that it can be read without colour."""
    return f'<span class="verdict {verdict.replace(" ", "-")}">{escape(verdict)}</span>'


def quiet(words: object) -> str:
    """Text in small grey print."""
    return f'<span class="quiet">{text(words)}</span>'
