"""Colours and chart settings. The colours are those of Okabe and Ito; shapes always repeat the colours."""

from __future__ import annotations

from typing import Any

BLACK, GREY = "#000000", "#6e6e6e"
ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
CYCLE = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK, GREY)

VERDICTS = {"supported": GREEN, "not supported": VERMILLION, "inconclusive": GREY}

CONFIG: dict[str, Any] = {
    "font": "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif",
    "background": "white",
    "view": {"stroke": None},
    "axis": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "gridColor": "#e5e5e5"},
    "legend": {
        "orient": "bottom", "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "columns": 3,
        "symbolSize": 90, "labelLimit": 420, "layout": {"bottom": {"direction": "vertical", "anchor": "start"}},
    },
    "title": {"fontSize": 13, "anchor": "start", "fontWeight": 600},
}  # fmt: skip
