"""The mark of each method in figures: a colour, a shape and a dash pattern.

Shapes differ for the first two dozen methods, so that marks can be told apart without colours; after that, colour and
shape together differ. A method has the same mark in all figures of a report. Shapes that Vega does not know by name are
paths in the square from -1 to 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from math import cos, pi, sin
from typing import NamedTuple

import pandas as pd

from petscale.report.theme import BLACK, BLUE, CYCLE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION

Point = tuple[float, float]
Dash = tuple[int, ...]


class Mark(NamedTuple):
    """How a method is drawn. Dashes are lengths of line and gap in pixels."""

    colour: str
    shape: str
    dash: Dash


def _regular(corners: int, inner: float | None = None) -> list[Point]:
    """A regular polygon with a corner at the top, or a star whose inner corners have the given radius."""
    radii = (1.0,) if inner is None else (1.0, inner)
    count = corners * len(radii)
    angles = [2 * pi * k / count for k in range(count)]
    return [(radii[k % len(radii)] * sin(a), -radii[k % len(radii)] * cos(a)) for k, a in enumerate(angles)]


def _path(*outlines: Sequence[Point]) -> str:
    """An SVG path of closed outlines."""
    return "".join("M" + "L".join(f"{x:.3g},{y:.3g}" for x, y in outline) + "Z" for outline in outlines)


def _hollow(outline: Sequence[Point]) -> str:
    """The outline with a hole of its own form: the inner outline runs the other way round, so it is not filled."""
    middle = [sum(values) / len(outline) for values in zip(*outline, strict=True)]
    return _path(outline, [((x + middle[0]) / 2, (y + middle[1]) / 2) for x, y in reversed(outline)])


_SQUARE = [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]
_UP = [(0.0, -0.7), (1.0, 1.0), (-1.0, 1.0)]
_PLUS = [
    (-0.35, -1.0), (0.35, -1.0), (0.35, -0.35), (1.0, -0.35), (1.0, 0.35), (0.35, 0.35),
    (0.35, 1.0), (-0.35, 1.0), (-0.35, 0.35), (-1.0, 0.35), (-1.0, -0.35), (-0.35, -0.35),
]  # fmt: skip
_TURNED_PLUS = [(0.71 * (x - y), 0.71 * (x + y)) for x, y in _PLUS]

NAMED = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
DRAWN = (
    _path(_regular(5, 0.4)),  # star
    _hollow(_regular(24)),  # ring
    _path(_TURNED_PLUS),  # x
    _hollow(_SQUARE),
    _path([(-1, -1), (1, -1), (-1, 1), (1, 1)]),  # hourglass
    _hollow(_regular(4)),  # diamond
    _path(_regular(6)),
    _hollow(_UP),
    _path([(-1, -1), (-1, 1), (1, -1), (1, 1)]),  # bow tie
    _hollow([(x, -y) for x, y in reversed(_UP)]),
    _path([(-1, -0.35), (1, -0.35), (1, 0.35), (-1, 0.35)]),  # flat bar
    _hollow([(-y, x) for x, y in _UP]),
    _path([(-0.35, -1), (0.35, -1), (0.35, 1), (-0.35, 1)]),  # upright bar
    _hollow([(y, -x) for x, y in _UP]),
    _path(_regular(4, 0.35)),  # star with four points
    _hollow(_regular(6)),
)
SHAPES = (*NAMED, *DRAWN)
DASHES: tuple[Dash, ...] = ((1, 0), (4, 2), (2, 1), (1, 1), (1, 2, 4, 2), (8, 2), (8, 2, 2, 2), (2, 4))

METHODS: Mapping[str, Mark] = {
    "full": Mark(BLACK, "circle", (1, 0)),
    "frozen": Mark(GREY, "cross", (2, 4)),
    "prompt": Mark(ORANGE, "square", (2, 1)),
    "bitfit": Mark(SKY, "triangle-up", (1, 1)),
    "lora": Mark(GREEN, "diamond", (8, 2)),
    "adapter": Mark(BLUE, "triangle-down", (8, 2, 2, 2)),
    "apet-adjacent": Mark(VERMILLION, "triangle-right", (1, 0)),
    "apet-discrete": Mark(PURPLE, "triangle-left", (4, 2)),
}


def _free() -> list[Mark]:
    """Every other pair of shape and colour, at first one for each shape that no method of `METHODS` has."""
    taken = {(mark.colour, mark.shape) for mark in METHODS.values()}
    pairs = [(CYCLE[number % len(CYCLE)], shape) for number, shape in enumerate(DRAWN)]
    pairs += [
        (CYCLE[(number + turn) % len(CYCLE)], shape)
        for turn in range(len(CYCLE))
        for number, shape in enumerate(SHAPES)
    ]
    return [
        Mark(*pair, DASHES[number % len(DASHES)])
        for number, pair in enumerate(dict.fromkeys(pair for pair in pairs if pair not in taken))
    ]


_FREE = _free()


def method_marks(methods: Iterable[str]) -> dict[str, Mark]:
    """The mark of each method of a study; no two are equal.

    A method that has no mark in `METHODS` takes one that follows from its name, or the next if another method of the
    study has it, so that it mostly keeps its mark from study to study.

    Args:
        methods: all methods of the study, so that a figure of a few shows them as the others do.

    Raises:
        ValueError: there are more methods than marks, which are about two hundred.
    """
    names = sorted(set(methods))
    made = {name: METHODS[name] for name in names if name in METHODS}
    others = [name for name in names if name not in METHODS]
    first = max(len(DRAWN), len(others))  # each has a shape of its own as long as there are enough
    slots: dict[int, str] = {}
    for name in others:
        wanted = int(sha256(name.encode()).hexdigest(), 16)
        slot = next(turned for step in range(first) if (turned := (wanted + step) % first) not in slots)
        slots[slot] = name
    if first > len(_FREE):
        raise ValueError(f"{len(others)} methods need marks and there are {len(_FREE)}")
    return made | {name: _FREE[slot] for slot, name in slots.items()}


def marks_of(tables: Mapping[str, pd.DataFrame]) -> dict[str, Mark]:
    """The mark of every method that stands in any table of a study."""
    return method_marks(
        name for table in tables.values() if "method" in table for name in table["method"].dropna().unique()
    )


def cycle(count: int) -> tuple[list[str], list[str]]:
    """Colours and shapes of `count` things other than methods, such as backbones or kinds of tasks."""
    colours = [CYCLE[number % len(CYCLE)] for number in range(count)]
    return colours, [SHAPES[number % len(SHAPES)] for number in range(count)]
