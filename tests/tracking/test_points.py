"""Points allow an exact comparison of a spool with a store, for any float."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petscale.errors import BadInput
from petscale.tracking.points import Point, differences, read_points


@given(st.floats())
def test_every_float_compares_equal_to_itself_and_comes_back(value: float) -> None:
    point = Point.of("k", 1, 2, value)
    assert point == Point.of("k", 1, 2, point.number)
    if math.isfinite(value):
        assert point.number == value


def test_infinity_is_what_sql_stores_for_it() -> None:
    assert Point.of("k", 1, 1, math.inf) == Point.of("k", 1, 1, 1.7976931348623157e308)


def test_equal_rows_are_one_row_and_keys_are_told_apart() -> None:
    first, again, other = Point.of("a", 1, 1, 0.5), Point.of("a", 1, 1, 0.5), Point.of("b", 1, 1, 0.5)
    assert differences({first, again, other}, {first, other}) == []
    (wrong,) = differences({first, other}, {first, Point.of("b", 1, 1, 0.6)})
    assert (wrong.key, wrong.expected, wrong.missing, wrong.extra) == ("b", 1, 1, 1)


def test_damage_inside_a_spool_is_named_and_a_torn_end_is_not(tmp_path: Path) -> None:
    spool = tmp_path / "metrics.jsonl"
    whole = json.dumps({"ts": 1, "step": 1, "key": "a", "value": 0.5})
    spool.write_text(f"{whole}\n{whole[:20]}")
    assert read_points(spool) == {Point.of("a", 1, 1, 0.5)}
    spool.write_text(f"{whole}\n{whole[:20]}\n{whole}\n")
    with pytest.raises(BadInput, match=r"metrics\.jsonl: record 2"):
        read_points(spool)
    assert read_points(tmp_path / "none.jsonl") == set()
