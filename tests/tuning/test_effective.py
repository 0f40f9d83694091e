"""The plan's effective count equals that by autograd in float64 with a randomised delta.

A relative threshold tells zero from rounding noise: where softmax cancels a key bias, autograd returns 1e-17, not 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers.activations import ACT2FN

from petscale.tuning.install import install
from petscale.tuning.registry import make_plan

from .tiny import Tiny, methods_for, randomise, small_plan, tiny_bert, tiny_t5

RELATIVE = 1e-9


def effective(tiny: Tiny, plan: Any) -> int:
    """Entries with a gradient above noise in any of three batches that use all words, positions and segments."""
    delta = install(tiny.model, plan, seed=0)
    randomise(delta)
    highest = {key: torch.zeros_like(parameter) for key, parameter in delta.named_parameters()}
    for batch in _batches(tiny, plan.target_length):
        tiny.model(**batch).loss.backward()
        for key, parameter in delta.named_parameters():
            if parameter.grad is not None:
                highest[key] = torch.maximum(highest[key], parameter.grad.abs())
        delta.zero_grad()
    delta.remove()
    largest = max((float(value.max()) for value in highest.values()), default=0.0)
    return sum(int((value > RELATIVE * largest).sum()) for value in highest.values())


def _batches(tiny: Tiny, target: int | None) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    soft = 12 if tiny.shape.family == "t5" else 60  # BERT: 60 words and four soft tokens fill its 64 positions
    batches = []
    for _ in range(3):
        ids = torch.stack([torch.randperm(60, generator=generator) for _ in range(4)])[:, : max(soft, 60)]
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if tiny.shape.family == "t5":
            batch["labels"] = torch.randint(1, 60, (4, target or 40), generator=generator)
        else:
            batch["labels"] = torch.randint(0, 3, (4,), generator=generator)
            batch["token_type_ids"] = torch.randint(0, 2, ids.shape, generator=generator)
        batches.append(batch)
    return batches


def _cases() -> list[Any]:
    t5 = [("t5", target, method) for target in (None, 1, 2) for method in methods_for(tiny_t5().shape)]
    cases = t5 + [("bert", None, method) for method in methods_for(tiny_bert().shape)]
    return [case for case in cases if case[2] != "frozen"]


@pytest.fixture
def smooth(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit of ReLU may rest for all of the few tokens of a test, which is not structural."""
    monkeypatch.setitem(ACT2FN, "relu", torch.nn.GELU)


@pytest.mark.usefixtures("smooth")
@pytest.mark.parametrize(("family", "target", "method"), _cases())
def test_the_plan_counts_what_autograd_finds(family: str, target: int | None, method: str) -> None:
    make: Callable[..., Tiny] = tiny_t5 if family == "t5" else tiny_bert
    tiny = make(torch.float64)
    plan = small_plan(tiny.shape, method, target_length=target)
    if family == "bert" and method == "full":
        # The last positions are beyond the batches' 60 words; the plan takes inputs to reach them.
        unreached = 4 * tiny.shape.d_model
        assert effective(tiny, plan) == plan.effective - unreached
    else:
        assert effective(tiny, plan) == plan.effective


def test_a_prefix_revives_what_is_dead_without_it() -> None:
    """At a target of one token, q and k of the decoder's self-attention act only where there are more keys."""
    shape = tiny_t5().shape
    lora = make_plan(shape, "lora-qv", options={"rank": 2}, target_length=1)
    united = small_plan(shape, "unipelt", target_length=1)
    dead = {tensor.key for site in lora.sites for tensor in site.tensors if tensor.effective == 0}
    assert lora.effective < lora.trainable
    assert dead == {"down", "up"}
    assert united.effective == united.trainable


@pytest.mark.parametrize("method", ["apet-adjacent", "apet-discrete"])
@pytest.mark.parametrize("target", [None, 1])
@pytest.mark.parametrize(
    "options",
    [
        {"roles": ["*"]},
        {"operations": ["add", "add-hidden", "concat", "plug"], "rank": 2, "bottleneck": 2},
        {"operations": ["plug"], "bottleneck": 2},
    ],
)
def test_every_entry_of_apet_acts(method: str, target: int | None, options: dict[str, Any]) -> None:
    tiny = tiny_t5(torch.float64)
    plan = make_plan(tiny.shape, method, budget=211, options=options, target_length=target)
    assert effective(tiny, plan) == plan.effective == plan.trainable == 211


def test_every_candidate_of_apet_acts() -> None:
    """The largest budget takes every candidate there is."""
    tiny = tiny_t5(torch.float64)
    most = make_plan(tiny.shape, "full").effective
    plan = make_plan(tiny.shape, "apet-discrete", budget=most, options={"roles": ["*"]})
    assert effective(tiny, plan) == plan.trainable == most
