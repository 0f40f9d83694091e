"""Measured values as points, in a form that allows an exact comparison of a spool with a store."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from petscale.cells.spool import read_spool
from petscale.errors import BadInput


class Point(NamedTuple):
    """A metric at a step, with its time in milliseconds. `value` is canonical text, so that NaN equals NaN."""

    key: str
    ts: int
    step: int
    value: str

    @classmethod
    def of(cls, key: str, ts: int, step: int, value: float) -> Point:
        """A point of a metric whose value has one spelling, so that equal numbers compare equal (NaN too)."""
        return cls(key, int(ts), int(step), _canonical(value))

    @property
    def number(self) -> float:
        """The value as a float."""
        return float(self.value)


def _canonical(value: float) -> str:
    """Text of a number as any store returns it: SQL has no infinity, and SQLite turns -0.0 into 0.0."""
    if math.isnan(value):
        return "nan"
    return repr(max(-sys.float_info.max, min(sys.float_info.max, float(value))) + 0.0)


def read_points(path: Path) -> set[Point]:
    """The points of a spool, with equal rows only once, as a store keeps them. Empty if there is no spool yet.

    Raises:
        BadInput: the file cannot be read, or a record in its middle is damaged; the message names file and record.
    """  # noqa: DOC501  TypeError is caught below
    found: set[Point] = set()
    number = 1
    try:
        for record in read_spool(path):
            if not isinstance(record["key"], str):
                raise TypeError("its key is no text")
            found.add(Point.of(record["key"], record["ts"], record["step"], record["value"]))
            number += 1
    except FileNotFoundError:
        return found
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise BadInput(f"{path}: record {number}: not a metric ({error})") from None
    return found


@dataclass(frozen=True)
class Difference:
    """A key for which a spool and a store have different points."""

    key: str
    expected: int
    missing: int
    extra: int

    def __str__(self) -> str:
        return (
            f"{self.key}: {self.expected} in the spool, {self.missing} missing and {self.extra} too many in the store"
        )


def differences(expected: Iterable[Point], found: Iterable[Point]) -> list[Difference]:
    """For each key, the points that a store lacks and those that it should not have; empty if there are none."""
    expected, found = set(expected), set(found)
    total, missing, extra = (
        Counter(point.key for point in points) for points in (expected, expected - found, found - expected)
    )
    return [Difference(key, total[key], missing[key], extra[key]) for key in sorted({*missing, *extra})]
