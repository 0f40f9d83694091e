"""A sharded model, tied or not, computes, learns and gathers the same as the unsharded model."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from petscale.families.registry import family_of
from petscale.parallel.launch import launch
from petscale.parallel.team import Team, to_local
from petscale.tuning.install import install
from tuning.tiny import TINY, Tiny, small_plan

RATE = 0.5


def one_step(model: Any, delta: Any, batch: dict[str, torch.Tensor], weight: float) -> None:
    """Plain descent: unlike AdamW it does not forgive a gradient that is off by a factor."""
    model.train()
    (weight * model(**batch).loss).backward()
    with torch.no_grad():
        for parameter in delta.parameters():
            if parameter.grad is not None:
                parameter -= RATE * parameter.grad
    model.eval()


def sharded_step(team: Team, kind: str) -> tuple[Any, ...]:
    """In each process: logits before and after a step, the values, entries changed, entries held, whether tied."""
    from petscale.parallel.shards import Sharded

    tiny: Tiny = TINY[kind]()
    sharded = Sharded(tiny.model, team, torch.device("cpu"), units=family_of(tiny.shape).shard_units(tiny.model))
    delta = install(tiny.model, small_plan(tiny.shape, "full"), seed=1)
    logits = []
    with sharded.gathered() as twin:
        logits.append(Tiny(twin, tiny.shape, tiny.batch).logits())
        tied = kind != "bert" and twin.lm_head.weight is twin.shared.weight is twin.encoder.embed_tokens.weight
    one_step(tiny.model, delta, tiny.batch, 1 / team.size)
    with sharded.gathered() as twin:
        logits.append(Tiny(twin, tiny.shape, tiny.batch).logits())
    held = sum(to_local(parameter).numel() for parameter in delta.parameters())
    changed, held = (sum(team.gather(number)) for number in (delta.changed(), held))
    state = {name: value.numpy() for name, value in delta.state().items()}
    return *(tensor.numpy() for tensor in logits), state, changed, held, tied


@pytest.mark.parametrize("kind", TINY)
def test_shards_learn_as_the_whole_model(kind: str) -> None:
    before, after, state, changed, held, tied = launch(
        sharded_step, (kind,), size=2, imports=["petscale.parallel.shards", "petscale.tuning.install"]
    )
    tiny: Tiny = TINY[kind]()
    torch.testing.assert_close(torch.tensor(before), tiny.logits(), rtol=1e-6, atol=1e-6)
    delta = install(tiny.model, small_plan(tiny.shape, "full"), seed=1)
    one_step(tiny.model, delta, tiny.batch, 1.0)
    torch.testing.assert_close(torch.tensor(after), tiny.logits(), rtol=1e-5, atol=1e-5)
    learnt = {name: torch.tensor(value) for name, value in state.items()}
    torch.testing.assert_close(learnt, delta.state(), rtol=1e-5, atol=1e-6)
    assert held == sum(value.numel() for value in learnt.values())  # each entry lies in one process
    assert changed == pytest.approx(delta.changed(), rel=0.02)  # zeros of the gradient are zeros but for rounding
    assert tied == (kind == "t5-tied")
