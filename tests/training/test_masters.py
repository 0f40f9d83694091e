"""Masters in bfloat16, as Lialin et al. (2024) ran them: what that changes, and that it is AdamW all the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from petscale.errors import BadInput
from petscale.parallel.team import Team
from petscale.study.cell import Cell
from petscale.training.gradient import backward
from petscale.training.loop import Limits, Loop
from petscale.training.progress import Progress
from petscale.training.setup import Ready, prepare_cell
from training.bench import Bench, make_cell

RATE = 1e-3


def make(method: str, masters: str, family: str = "t5", **changes: Any) -> Cell:
    settings = {"precision": "bfloat16", "learning_rate": RATE, "dropout": 0.0, "weight_decay": 0.1, "steps": 8}
    given = {"method": method, "options": {}, "masters": masters, "evaluate_every": 8}
    return replace(make_cell(family, "lora"), **{**settings, **given, **changes})


def trained(bench: Bench, folder: Path, cell: Cell, family: str = "t5") -> tuple[Ready, Loop]:
    ready = prepare_cell(cell, bench.inputs[family])
    loop = Loop(ready, folder, Progress(None, cell.steps), Limits())
    loop.run()
    return ready, loop


@pytest.mark.parametrize(
    ("masters", "learns", "moves"),
    [
        ("bfloat16", "factor", False),
        ("float32", "factor", True),
        ("bfloat16", "difference", True),  # bfloat16 is fine near 0, where w starts
    ],
)
def test_bfloat16_rounds_steps_away_at_one(
    bench: Bench, tmp_path: Path, masters: str, learns: str, moves: bool
) -> None:
    """The spacing of bfloat16 below 1 is 1/256, so that steps of a thousandth leave an l of 1 where it is."""
    ready, _ = trained(bench, tmp_path, make("ia3", masters, options={"learns": learns}))
    changed, count = ready.delta.changed(), ready.plan.effective
    assert changed > 0.9 * count if moves else changed == 0


@pytest.mark.parametrize(("family", "method"), [("t5", "ia3"), ("t5", "lora"), ("bert", "lora"), ("t5", "full")])
def test_a_step_is_adamw_on_bfloat16_parameters(bench: Bench, tmp_path: Path, family: str, method: str) -> None:
    """Against torch's plain AdamW on copies of the parameters, with the gradient of the same batch.

    Both round to bfloat16, ours once a step and torch's plain one after each operation.
    """
    cell = make(method, "bfloat16", family, steps=1, evaluate_every=1)
    other = prepare_cell(cell, bench.inputs[family])
    backward(other, Loop(other, tmp_path / "other", Progress(None, 1), Limits())._batch(0), lambda: None)
    torch.nn.utils.clip_grad_norm_(other.parameters, cell.clip_norm)
    copies = [torch.nn.Parameter(p.detach().clone()) for p in other.parameters]
    for copy, parameter in zip(copies, other.parameters, strict=True):
        copy.grad = parameter.grad
    torch.optim.AdamW(copies, lr=RATE, weight_decay=0.1, foreach=False, fused=False).step()
    ready, loop = trained(bench, tmp_path / "ours", cell, family)
    assert {p.dtype for p in ready.parameters} == {torch.bfloat16}
    moments = [v for state in loop.optimizer.state.values() for key, v in state.items() if key != "step"]
    assert {moment.dtype for moment in moments} == {torch.bfloat16}
    for found, expected in zip(ready.parameters, copies, strict=True):
        torch.testing.assert_close(found.detach(), expected.detach(), rtol=2**-7, atol=1e-5)


def test_values_are_stored_in_their_precision(bench: Bench, tmp_path: Path) -> None:
    ready, _ = trained(bench, tmp_path, make("lora", "bfloat16"))
    assert {value.dtype for value in ready.trained().values()} == {torch.bfloat16}


def test_shards_need_float32(bench: Bench) -> None:
    with pytest.raises(BadInput, match="masters: bfloat16: full fine-tuning on several devices needs float32"):
        prepare_cell(make("full", "bfloat16"), bench.inputs["t5"], team=Team(0, 2))
