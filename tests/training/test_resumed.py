"""Every method goes on from a checkpoint as if it had not been interrupted, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from petscale.errors import Interrupted
from petscale.study.cell import Cell
from petscale.training.loop import Limits, Loop
from petscale.training.progress import Progress
from petscale.training.setup import prepare_cell
from petscale.tuning.registry import METHODS
from training.bench import Bench, make_cell

SMALL: dict[str, dict[str, Any]] = {"prompt": {"tokens": 5}, "prompt-50": {"tokens": 5}}
T5_ONLY = ("bitfit-t5-xxl",)
COARSE = [("ia3", {"precision": "bfloat16", "masters": "bfloat16"}), ("full", {"precision": "bfloat16"})]
CASES = [
    (family, method, changes)
    for family in ("t5", "bert")
    for method, changes in [*((method, {}) for method in METHODS if method != "frozen"), *COARSE]
    if family == "t5" or method not in T5_ONLY
]


def make(family: str, method: str, **changes: Any) -> Cell:
    budget = 300 if METHODS[method].takes_budget else None
    given = {"method": method, "options": SMALL.get(method, {}), "budget": budget, "mask_seed": 1 if budget else None}
    return replace(make_cell(family, "lora"), **{"steps": 3, "evaluate_every": 3, **given, **changes})


def run(bench: Bench, family: str, cell: Cell, state: Path, *, stop_after_each_step: bool) -> tuple[Loop, int]:
    """The loop at its end, and the number of attempts that it took."""
    for attempt in range(1, 10):
        ready = prepare_cell(cell, bench.inputs[family])
        limits = Limits(stop=lambda _need: True) if stop_after_each_step else Limits()
        loop = Loop(ready, state, Progress(None, cell.steps), limits)
        try:
            loop.run()
        except Interrupted:
            continue
        return loop, attempt
    raise AssertionError("it does not end")


def told(loop: Loop) -> list[tuple[int, int, float | None, float]]:
    return [(row.step, row.tokens, row.train_loss, row.dev) for row in loop.journey.curve]


@pytest.mark.parametrize(("family", "method", "changes"), CASES)
def test_resumed_is_uninterrupted(
    bench: Bench, tmp_path: Path, family: str, method: str, changes: dict[str, Any]
) -> None:
    """Values, moments and curve; with dropout, and stopped after every step."""
    cell = make(family, method, **changes)
    (whole, one), (broken, several) = (
        run(bench, family, cell, tmp_path / str(stops), stop_after_each_step=stops) for stops in (False, True)
    )
    assert (one, several) == (1, 3)
    assert told(whole) == told(broken)
    ours, theirs = whole.ready.trained(), broken.ready.trained()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    moments, others = (loop.optimizer.state_dict()["state"] for loop in (whole, broken))
    assert moments.keys() == others.keys()
    for index, state in moments.items():
        assert all(torch.equal(value, others[index][key]) for key, value in state.items())
