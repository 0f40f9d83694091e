"""Every operation and mask equals a dense reference in float64, in which W1 (.) m1 and the like are formed by hand.

The reference shares no code with the package: its masks are 0/1 tensors, its weights dense, its gradients autograd's.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import gelu

from petscale.tuning import sampling
from petscale.tuning.install import install
from petscale.tuning.registry import make_plan

from .tiny import TINY, Tiny, randomise

OPTIONS: list[dict[str, Any]] = [
    {"operations": ["add"], "roles": ["self.*", "ffn.*"]},
    {"operations": ["add"], "roles": ["*"]},
    {"operations": ["concat"], "rank": 2},
    {"operations": ["plug"], "bottleneck": 3},
    {"operations": ["add", "concat", "plug"], "rank": 2, "bottleneck": 2},
]


def reference(tiny: Tiny, plan: Any, values: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits, and gradients of the dense W (.) m at the mask's entries, by key."""
    dense: dict[str, Tensor] = {}
    masks: dict[str, Tensor] = {}
    for site in plan.sites:
        for tensor in site.tensors:
            key = site.key(tensor)
            mask = torch.zeros(tensor.shape, dtype=torch.float64)
            positions = torch.from_numpy(tensor.mask.indices(tensor.shape, key))
            mask.view(-1)[positions] = 1.0
            full = torch.zeros(tensor.shape, dtype=torch.float64)
            full.view(-1)[positions] = values[key].flatten()
            masks[key], dense[key] = mask, full.requires_grad_()
    weights = {name: parameter.detach() for name, parameter in tiny.model.named_parameters(remove_duplicate=False)}
    changed = dict(weights)
    with ExitStack() as hooks:
        for site in plan.sites:
            w = {t.key: dense[site.key(t)] * masks[site.key(t)] for t in site.tensors}
            target = f"{site.module}.weight"
            if site.operation == "add":
                target = f"{site.module}.{site.settings['tensor']}"
                for name in _aliases(tiny.model, target):
                    changed[name] = changed[name] + w["delta"]
            elif site.operation == "concat":
                product = torch.einsum("ro,ri->oi", w["up"], w["down"])
                changed[target] = changed[target] + site.settings["scale"] * product
            elif site.operation == "plug":
                hooks.callback(tiny.model.get_submodule(site.module).register_forward_hook(_plug(w)).remove)
            else:
                raise AssertionError(site.operation)
        output = functional_call(tiny.model, changed, kwargs=tiny.batch, tie_weights=False)
        output.loss.backward()
    gradients = {}
    for site in plan.sites:
        for tensor in site.tensors:
            key = site.key(tensor)
            assert torch.all(dense[key].grad[masks[key] == 0] == 0)
            gradients[key] = dense[key].grad.flatten()[torch.from_numpy(tensor.mask.indices(tensor.shape, key))]
    return output.logits.detach(), gradients


def _aliases(model: Any, name: str) -> list[str]:
    parameter = model.get_parameter(name)
    return [other for other, value in model.named_parameters(remove_duplicate=False) if value is parameter]


def _plug(w: dict[str, Tensor]) -> Callable[..., Any]:
    def hook(_module: Any, _args: Any, output: Any) -> Any:
        h = output[0] if isinstance(output, tuple) else output
        inside = gelu(torch.einsum("bld,rd->blr", h, w["down"]), approximate="tanh")
        h = h + torch.einsum("blr,rd->bld", inside, w["up"])
        return (h, *output[1:]) if isinstance(output, tuple) else h

    return hook


@pytest.mark.parametrize("family", list(TINY))
@pytest.mark.parametrize("structure", ["adjacent", "discrete"])
@pytest.mark.parametrize("options", OPTIONS, ids=["add", "add-anywhere", "concat", "plug", "all"])
@pytest.mark.parametrize("budget", [37, 900])
def test_outputs_and_gradients_equal_the_dense_reference(
    family: str, structure: str, options: dict[str, Any], budget: int
) -> None:
    tiny = TINY[family](torch.float64)
    if family == "bert" and options["operations"] in (["plug"], ["concat"]):
        budget = min(budget, 300)  # what its few places hold
    plan = make_plan(tiny.shape, f"apet-{structure}", budget=budget, mask_seed=4, options=options)
    delta = install(tiny.model, plan, seed=0)
    randomise(delta)
    output = tiny.model(**tiny.batch)
    output.loss.backward()
    gradients = {key: parameter.grad for key, parameter in delta.named_parameters()}
    values = delta.state()
    delta.remove()
    logits, expected = reference(tiny, plan, values)
    torch.testing.assert_close(output.logits.detach(), logits, atol=1e-11, rtol=1e-9)
    for key, gradient in expected.items():
        torch.testing.assert_close(gradients[key], gradient, atol=1e-11, rtol=1e-8, msg=key)


@pytest.mark.parametrize("way", ["gathered", "sampled", "whole"])
@pytest.mark.parametrize("entries", [1, 5, 56, 60, 599, 600])
def test_every_way_to_sample_gives_the_dense_gradient(way: str, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    costs = {"gathered": 1e9, "sampled": 1e9, "moved": 0.0, "multiplied": 1e9}
    costs["multiplied" if way == "whole" else way] = 0.0
    monkeypatch.setitem(sampling.COSTS, "cpu", sampling.Costs(**costs))
    monkeypatch.setitem(sampling._CHUNK, "cpu", 64)
    generator = torch.Generator().manual_seed(0)
    g, x = (torch.randn(11, width, dtype=torch.float64, generator=generator) for width in (20, 30))
    dense = (g.T @ x).flatten()
    scattered = torch.randperm(600, generator=generator)[:entries].sort().values
    run = (torch.arange(entries) + 590) % 600
    column_run = run % 20 * 30 + run // 20
    inside = (torch.arange(entries) + 35) % 600  # 56 entries from the second row end with the first one of the fourth
    for indices in (scattered, run, column_run, inside):
        torch.testing.assert_close(sampling.sampler(indices, (20, 30))(g, x), dense[indices])


def test_more_tokens_than_are_gathered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then at least one entry is gathered at a time."""
    monkeypatch.setitem(sampling._CHUNK, "cpu", 64)
    generator = torch.Generator().manual_seed(0)
    g, x = (torch.randn(65, width, dtype=torch.float64, generator=generator) for width in (4, 5))
    indices = torch.tensor([0, 2, 9, 13])
    torch.testing.assert_close(sampling._gathered(indices, (4, 5))(g, x), (g.T @ x).flatten()[indices])
