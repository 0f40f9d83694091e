"""The functional executor and the installed delta agree: outputs, gradients, generation, gradient checkpointing."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch

from petscale.tuning.functional import applied
from petscale.tuning.install import install

from .tiny import TINY, Tiny, methods_for, randomise, small_plan


def _cases() -> list[tuple[str, str]]:
    return [(family, method) for family in ("t5", "t5-tied", "bert") for method in methods_for(TINY[family]().shape)]


def _step(tiny: Tiny) -> torch.Tensor:
    output = tiny.model(**tiny.batch)
    if output.loss.requires_grad:
        output.loss.backward()
    return output.logits.detach()


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "checkpointing"])
@pytest.mark.parametrize(("family", "method"), _cases())
def test_installed_and_functional_agree(family: str, method: str, checkpointing: bool) -> None:
    tiny = TINY[family](torch.float64)
    if checkpointing:
        tiny.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        tiny.model.train()
    plan = small_plan(tiny.shape, method)
    delta = install(tiny.model, plan, seed=0)
    randomise(delta)
    installed = _step(tiny)
    gradients = {key: parameter.grad for key, parameter in delta.named_parameters()}
    generated = _generate(tiny)
    values = {key: value.requires_grad_() for key, value in delta.state().items()}
    delta.remove()
    before = {name: value.clone() for name, value in tiny.model.state_dict().items()}

    with applied(tiny.model, plan, values) if plan.sites else nullcontext():
        functional = _step(tiny)
        again = _generate(tiny)
    torch.testing.assert_close(functional, installed, atol=1e-12, rtol=1e-9)
    assert generated == again
    for key, value in values.items():
        expected = gradients[key]
        if expected is not None:
            torch.testing.assert_close(value.grad, expected, atol=1e-12, rtol=1e-8, msg=key)
    assert all(torch.equal(value, before[name]) for name, value in tiny.model.state_dict().items())
    assert not any(name in module.__dict__ for module in tiny.model.modules() for name in ("weight", "bias"))


def _generate(tiny: Tiny) -> Any:
    if tiny.shape.family != "t5":
        return None
    return tiny.model.generate(**tiny.inputs, max_new_tokens=6).tolist()


def test_one_backbone_serves_two_deltas_in_turn() -> None:
    """Leaving the context restores the model, so one backbone can be used with several deltas."""
    tiny = TINY["t5"]()
    states = {}
    expected = {}
    for method in ("apet-discrete", "prompt"):
        delta = install(tiny.model, small_plan(tiny.shape, method), seed=0)
        randomise(delta)
        states[method], expected[method] = (delta.plan, delta.state()), tiny.logits()
        delta.remove()
    for method in ("prompt", "apet-discrete", "prompt"):
        with applied(tiny.model, *states[method]):
            torch.testing.assert_close(tiny.logits(), expected[method], atol=1e-5, rtol=1e-5)
