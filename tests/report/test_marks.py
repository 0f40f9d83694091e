"""Marks of methods in figures: distinct for more methods than there are, and the same in every figure of a report."""

from __future__ import annotations

import random
from typing import Any

import pandas as pd
import pytest
import vl_convert

from analysis.studies import as_claimed
from petscale.report.build import make_figures, read_tables
from petscale.report.marks import METHODS, Mark, marks_of, method_marks
from petscale.report.theme import BLACK, BLUE, CYCLE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION
from petscale.tuning.registry import METHODS as REGISTERED

NAMES = [f"method-{number}" for number in range(16)]


def drawn(marks: dict[str, Mark]) -> str:
    """A figure with one point for each mark, as SVG."""
    values = [{"method": name, "x": number} for number, name in enumerate(marks)]
    scale = {"domain": list(marks)}
    return vl_convert.vegalite_to_svg(
        {
            "data": {"values": values},
            "mark": {"type": "point", "filled": True, "size": 70},
            "encoding": {
                "x": {"field": "x", "type": "quantitative", "axis": None},
                "color": {
                    "field": "method",
                    "scale": {**scale, "range": [m.colour for m in marks.values()]},
                    "legend": None,
                },
                "shape": {
                    "field": "method",
                    "scale": {**scale, "range": [m.shape for m in marks.values()]},
                    "legend": None,
                },
            },
        }
    )


def test_24_names_give_24_marks_that_differ_in_shape() -> None:
    """The ninth and every later method had one and the same mark; readers who see no colours need shapes."""
    marks = method_marks([*METHODS, *NAMES])
    assert len(marks) == 24
    assert len({(mark.colour, mark.shape) for mark in marks.values()}) == 24
    assert len({mark.shape for mark in marks.values()}) == 24


@pytest.mark.parametrize("count", [24, 60, 150])
def test_any_number_of_new_names_gives_different_pairs(count: int) -> None:
    marks = method_marks(f"new-{number}" for number in range(count))
    assert len({(mark.colour, mark.shape) for mark in marks.values()}) == count


def test_more_methods_than_marks_are_refused() -> None:
    with pytest.raises(ValueError, match="300 methods need marks"):
        method_marks(f"new-{number}" for number in range(300))


def test_methods_of_before_keep_their_marks() -> None:
    marks = {name: mark[:2] for name, mark in method_marks(REGISTERED).items()}
    before = {
        "full": (BLACK, "circle"),
        "frozen": (GREY, "cross"),
        "prompt": (ORANGE, "square"),
        "bitfit": (SKY, "triangle-up"),
        "lora": (GREEN, "diamond"),
        "adapter": (BLUE, "triangle-down"),
        "apet-adjacent": (VERMILLION, "triangle-right"),
        "apet-discrete": (PURPLE, "triangle-left"),
    }
    assert before.items() <= marks.items()
    assert len(set(marks.values())) == len(REGISTERED)


def test_the_order_of_the_methods_is_of_no_account() -> None:
    names = [*METHODS, *NAMES]
    for seed in range(5):
        assert method_marks(random.Random(seed).sample(names, len(names))) == method_marks(names)


def test_a_method_has_one_mark_in_all_figures() -> None:
    """Marks come from all tables of a study: one ladder or experiment may lack methods that another has."""
    tables = {
        "methods": pd.DataFrame({"method": ["full", "method-3", "method-7"]}),
        "structure": pd.DataFrame({"method": ["method-9", "method-3", None]}),
        "curves": pd.DataFrame({"step": [1]}),
    }
    marks = marks_of(tables)
    assert set(marks) == {"full", "method-3", "method-7", "method-9"}
    assert marks == method_marks(marks)


def test_every_shape_and_colour_is_drawn() -> None:
    """A path that Vega cannot read would be drawn as nothing: each mark has a path with an outline and its colour."""
    marks = method_marks([*METHODS, *NAMES])
    for name, mark in marks.items():
        svg = drawn({name: mark})
        assert f'fill="{mark.colour}"' in svg
        assert svg != drawn({name: mark._replace(shape="circle")}) or mark.shape == "circle"
    assert {mark.colour for mark in marks.values()} == set(CYCLE)


def _scales(document: Any) -> list[tuple[list[str], list[str]]]:
    """Domain and range of each shape scale in a Vega-Lite document."""
    found = []
    if isinstance(document, dict):
        if "shape" in document and "scale" in document["shape"]:
            found.append((document["shape"]["scale"]["domain"], document["shape"]["scale"]["range"]))
        for value in document.values():
            found += _scales(value)
    elif isinstance(document, list):
        for value in document:
            found += _scales(value)
    return found


def test_figures_use_the_marks() -> None:
    """Every figure with methods shows each with the shape that `marks_of` gives, on both ladders."""
    tables = read_tables(as_claimed().folder / "tables")
    marks = marks_of(tables)
    seen = set()
    for figure in make_figures(tables):
        for domain, shapes in _scales(figure.interactive()):
            for name, shape in zip(domain, shapes, strict=True):
                if name in marks:
                    assert marks[name].shape == shape
                    seen.add((figure.experiment, name))
    assert {"methods", "structure", "threshold"} <= {experiment for experiment, _ in seen}
