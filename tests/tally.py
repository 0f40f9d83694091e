"""Counts the faults that tests in `tests/faults` and `tests/tracking` try, for the table of `make faults`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass
class Tally:
    """Counts tries of one fault for the table that `make faults` prints."""

    fault: str
    tries: int = 0
    survived: int = 0

    def add(self, survived: bool) -> None:
        self.tries += 1
        self.survived += survived

    @contextmanager
    def trying(self) -> Iterator[None]:
        """One try, survived where nothing is raised within."""
        self.tries += 1
        yield
        self.survived += 1


@pytest.fixture
def tally(record_property: Callable[[str, Any], None]) -> Iterator[Callable[[str], Tally]]:
    made: list[Tally] = []

    def begin(fault: str) -> Tally:
        made.append(Tally(fault))
        return made[-1]

    yield begin
    for each in made:
        record_property("fault", [each.fault, each.tries, each.survived])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of faults."""
    rows: dict[str, list[int]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "fault" and report.when == "teardown":
                    fault, tries, survived = value
                    row = rows.setdefault(fault, [0, 0])
                    row[0] += tries
                    row[1] += survived
    if rows:
        terminalreporter.section("faults")
        terminalreporter.write_line(f"{'fault':58} {'tries':>6} {'survived':>9} {'lost':>5}")
        for fault, (tries, survived) in sorted(rows.items()):
            terminalreporter.write_line(f"{fault:58} {tries:6d} {survived:9d} {tries - survived:5d}")
