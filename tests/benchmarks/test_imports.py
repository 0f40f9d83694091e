"""Benchmarks run on demand alone, so a renamed module would be noticed only when somebody needs their numbers."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from petscale.backbones.catalogue import lookup
from petscale.tuning.registry import METHODS

FOLDER = Path(__file__).parents[2] / "benchmarks"
BENCHMARKS = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("script", BENCHMARKS, ids=lambda script: script.stem)
def test_a_benchmark_finds_what_it_imports(script: Path) -> None:
    assert callable(runpy.run_path(str(script), run_name="not main")["main"])


def test_steps_have_a_row_for_every_method_on_both_families() -> None:
    """Methods that take a budget have two rows, and every row of HF PEFT names the row beside which it stands."""
    variants = runpy.run_path(str(FOLDER / "step.py"), run_name="not main")["_variants"]
    for backbone in ("google/t5-v1_1-small", "bert-small"):
        rows = list(variants(lookup(backbone).shape))
        names = [row.name for row in rows]
        without = {"frozen"} if backbone != "bert-small" else {"frozen", "bitfit-t5-xxl"}  # that one trains T5's tables
        assert METHODS.keys() - without <= {name.partition(",")[0] for name in names}
        assert len(names) == len(set(names))
        assert {row.peer for row in rows if row.name.startswith("PEFT")} <= set(names)
