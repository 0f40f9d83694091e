"""Benchmarks run on demand alone, so a renamed module would be noticed only when somebody needs their numbers."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", BENCHMARKS, ids=lambda script: script.stem)
def test_a_benchmark_finds_what_it_imports(script: Path) -> None:
    assert callable(runpy.run_path(str(script), run_name="not main")["main"])
