"""Colours, shapes and chart settings. The colours are those of Okabe and Ito; shapes always repeat the colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

BLACK, GREY = "#000000", "#6e6e6e"
ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
CYCLE = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK, GREY)
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")

METHODS = {
    "full": (BLACK, "circle"),
    "frozen": (GREY, "cross"),
    "prompt": (ORANGE, "square"),
    "bitfit": (SKY, "triangle-up"),
    "lora": (GREEN, "diamond"),
    "adapter": (BLUE, "triangle-down"),
    "apet-adjacent": (VERMILLION, "triangle-right"),
    "apet-discrete": (PURPLE, "triangle-left"),
}

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


def method_scales(methods: Sequence[str]) -> tuple[list[str], list[str]]:
    """Colours and shapes of methods; one that is not known takes the next free of each."""
    free_colours = [colour for colour in CYCLE if colour not in {METHODS[m][0] for m in methods if m in METHODS}]
    free_shapes = [shape for shape in SHAPES if shape not in {METHODS[m][1] for m in methods if m in METHODS}]
    colours, shapes = [], []
    for method in methods:
        if method in METHODS:
            colour, shape = METHODS[method]
        else:
            colour = free_colours.pop(0) if free_colours else GREY
            shape = free_shapes.pop(0) if free_shapes else "circle"
        colours.append(colour)
        shapes.append(shape)
    return colours, shapes


def cycle(count: int) -> tuple[list[str], list[str]]:
    """Colours and shapes of `count` things other than methods, such as backbones or task types."""
    colours = [CYCLE[i % len(CYCLE)] for i in range(count)]
    return colours, [SHAPES[i % len(SHAPES)] for i in range(count)]
