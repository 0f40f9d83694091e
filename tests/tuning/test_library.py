"""The methods of Lialin et al. against the adapters library, by recorded tensors (reference/record_methods.py).

Logits and the gradients of all tensors agree, with equal weights. The prefixes and gates are those of the library, by
option: on T5 its prefixes shift the real positions, and its gates average over the sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from petscale.families.registry import shape_from_config
from petscale.tuning.install import install
from petscale.tuning.plan import Plan, Site
from petscale.tuning.registry import make_plan

from .reference.models import model_of
from .reference.record_adapters import BERT, T5, fill
from .reference.record_methods import FILE, cases, inputs

Read = Callable[[str], Tensor]  # a tensor of the library by name, its value or its gradient


def _in_ours(plan: Plan, read: Read) -> dict[str, Tensor]:
    """Tensors of the library in the layout of a plan, by operations that their gradients go through too."""
    prefix = "bert." if plan.shape.family == "bert" else ""
    found = {}
    if "rule" in {tensor.key for tensor in plan.shared}:  # they multiply from the right, with all matrices transposed
        found["shared/rule"] = read(f"{prefix}shared_parameters.{plan.method}.phm_rule").transpose(1, 2)
    layers: dict[str, int] = {}
    for site in plan.sites:
        if site.operation == "concat-keys":
            kind = _kind(site)
            layer = layers[kind] = layers.get(kind, -1) + 1
            found |= _prefix(plan, site, kind, layer, read)
        elif site.operation == "plug":
            found |= _bottleneck(site, f"{site.module.removesuffix('.dropout')}.adapters.{plan.method}", read)
        else:
            lora = f"{site.module}.loras.{plan.method}"
            found[f"{site.name}/down"] = read(f"{lora}.lora_A")
            found[f"{site.name}/up"] = read(f"{lora}.lora_B").T
            found |= _gate(site, f"{lora}.gate", read)
    return found


def _bottleneck(site: Site, path: str, read: Read) -> dict[str, Tensor]:
    names = {
        "down": ("adapter_down.0.weight", lambda t: t),
        "down.bias": ("adapter_down.0.bias", lambda t: t),
        "up": ("adapter_up.weight", lambda t: t.T),
        "up.bias": ("adapter_up.bias", lambda t: t),
        "scale": ("scaling", lambda t: t),
    }
    if site.parametrisation.startswith("kronecker"):
        for part, layer in (("down", "adapter_down.0"), ("up", "adapter_up")):
            names[f"{part}.bias"] = (f"{layer}.b", lambda t: t)
            names[f"{part}.left"] = (f"{layer}.phm_rule", lambda t: t.transpose(1, 2))
            names[f"{part}.right"] = (f"{layer}.W", lambda t: t.transpose(1, 2))
            names[f"{part}.right.down"] = (f"{layer}.W_left", lambda t: t.transpose(1, 2))
            names[f"{part}.right.up"] = (f"{layer}.W_right", lambda t: t.transpose(1, 2))
    own = (tensor.key for tensor in site.tensors if not tensor.key.startswith("gate"))
    found = {}
    for key in own:
        name, change = names[key]
        found[f"{site.name}/{key}"] = change(read(f"{path}.{name}"))
    return found | _gate(site, f"{path}.gate", read)


def _gate(site: Site, path: str, read: Read) -> dict[str, Tensor]:
    if "gate" not in site.settings:
        return {}
    return {f"{site.name}/gate": read(f"{path}.weight")[0], f"{site.name}/gate.bias": read(f"{path}.bias")}


def _kind(site: Site) -> str:
    """The library's name of a kind of attention."""
    if site.role == "cross":
        return "cross"
    return "encoder" if site.module.startswith("encoder.") else "self"


def _prefix(plan: Plan, site: Site, kind: str, layer: int, read: Read) -> dict[str, Tensor]:
    first = "bert.encoder.layer.0.attention.self" if plan.shape.family == "bert" else _FIRST
    path = f"{first}.prefix_tuning.pool.prefix_tunings.{plan.method}.{kind}_prefix"
    inner, count = plan.shape.inner, int(site.settings["count"])
    found = _gate(site, f"{site.module}.prefix_tuning.prefix_gates.{plan.method}", read)
    for place, part in enumerate(("keys", "values")):
        rows = slice((2 * layer + place) * inner, (2 * layer + place + 1) * inner)
        if site.parametrisation == "plain":
            found[f"{site.name}/{part}"] = read(f"{path}.control_trans").reshape(count, -1)[:, rows]
        else:
            found[f"{site.name}/{part}.second"] = read(f"{path}.control_trans.2.weight")[rows]
            found[f"{site.name}/{part}.second.bias"] = read(f"{path}.control_trans.2.bias")[rows]
    if site.uses:
        found[f"shared/{site.uses['codes']}"] = read(f"{path}.wte.weight")
        found[f"shared/{site.uses['first']}"] = read(f"{path}.control_trans.0.weight")
        found[f"shared/{site.uses['first.bias']}"] = read(f"{path}.control_trans.0.bias")
    return found


_FIRST = "encoder.block.0.layer.0.SelfAttention"


def _outcome(family: str, method: str, options: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor], Plan]:
    recorded = {name.split("/", 2)[2]: value for name, value in load_file(FILE).items() if _is_of(name, family, method)}
    model = model_of(family)
    config = {**(T5 if family == "t5" else BERT), "model_type": family}
    plan = make_plan(shape_from_config(config), method, options=options)
    delta = install(model, plan, seed=0)
    state = _in_ours(plan, lambda name: fill(name, recorded[name].shape))
    for key in (key for key in state if key.endswith("/scale")):
        state[key] = state[key] - 1  # ours is the learned scale minus one
    delta.load_state(state)
    output = model(**inputs(family))
    output.loss.backward()
    return output.logits.detach(), {key: value.grad for key, value in delta.named_parameters()}, plan


def _is_of(name: str, family: str, method: str) -> bool:
    return name.startswith(f"{family}/{method}/")


@pytest.mark.parametrize(("family", "method", "options"), cases())
def test_logits_and_gradients_are_the_librarys(family: str, method: str, options: dict[str, Any]) -> None:
    logits, gradients, plan = _outcome(family, method, options)
    recorded = load_file(FILE)
    # T5's normalisation computes in float32 even in a float64 model, so 1e-6 is as close as two versions come.
    torch.testing.assert_close(logits, recorded[f"{family}/{method}/logits"], atol=1e-6, rtol=1e-5)
    expected = _in_ours(plan, lambda name: recorded[f"{family}/{method}/{name}"])
    assert expected.keys() == gradients.keys()
    for key, gradient in gradients.items():
        torch.testing.assert_close(gradient.float(), expected[key], atol=1e-6, rtol=1e-4, msg=key)


def test_a_prefix_with_real_positions_is_another_function() -> None:
    """What the library's shift changes: the same prefix, with the positions as they are."""
    shifted = {"tokens": 3, "middle": 5, "positions": "shifted"}
    logits = [_outcome("t5", "prefix", {**shifted, "positions": positions})[0] for positions in ("shifted", "none")]
    assert (logits[0] - logits[1]).abs().max() > 1e-3
