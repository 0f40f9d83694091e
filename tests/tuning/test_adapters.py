"""Houlsby's adapters against the adapters library, by recorded tensors (reference/record_adapters.py has the command).

The library puts an adapter inside the residual sum, on the sub-layer's output: `placement: sublayer` here, and outputs
and gradients agree. `placement: stream`, the default, is the released code of Su et al., which puts it after the sum;
that they differ is tested too, so that the difference stays documented and not forgotten.
"""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from petscale.families.registry import shape_from_config
from petscale.tuning.install import install
from petscale.tuning.registry import make_plan

from .reference.models import model_of
from .reference.record_adapters import BERT, BOTTLENECK, FILE, NAME, T5, batch, fill

PARTS = {
    "down": "adapter_down.0.weight",
    "down.bias": "adapter_down.0.bias",
    "up": "adapter_up.weight",
    "up.bias": "adapter_up.bias",
}


def _theirs(module: str, key: str) -> str:
    """Name of a site's tensor in the adapters library, which hangs it beside the sub-layer's dropout."""
    return f"{module.removesuffix('.dropout')}.adapters.{NAME}.{PARTS[key]}"


def _outcome(family: str, placement: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model = model_of(family)
    config = {**(T5 if family == "t5" else BERT), "model_type": family}
    options = {"bottleneck": BOTTLENECK, "placement": placement}
    plan = make_plan(shape_from_config(config), "adapter", options=options)
    delta = install(model, plan, seed=0)
    state = {}
    names = {}
    for site in plan.sites:
        for tensor in site.tensors:
            key, name = site.key(tensor), _theirs(site.module, tensor.key)
            # Their up factor is (d, bottleneck), ours (bottleneck, d).
            value = fill(name, tensor.shape[::-1]).T if tensor.key == "up" else fill(name, tensor.shape)
            state[key], names[key] = value, name
    delta.load_state(state)
    output = model(**batch(family))
    output.loss.backward()
    gradients = {}
    for key, parameter in delta.named_parameters():
        gradients[names[key]] = parameter.grad.T if key.endswith("/up") else parameter.grad
    return output.logits.detach(), gradients


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_sublayer_placement_is_houlsbys(family: str) -> None:
    recorded = load_file(FILE)
    logits, gradients = _outcome(family, "sublayer")
    # T5's normalisation computes in float32 even in a float64 model, so 1e-6 is as close as two versions come.
    torch.testing.assert_close(logits, recorded.pop(f"{family}/logits"), atol=1e-6, rtol=1e-5)
    expected = {name.partition("/")[2]: value for name, value in recorded.items() if name.startswith(f"{family}/")}
    expected.pop("logits", None)
    assert set(gradients) == {name for name in expected if _no_cross(name)}
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-6, rtol=1e-4, msg=name)


def _no_cross(name: str) -> bool:
    """Neither side puts an adapter after cross-attention."""
    return not (name.startswith("decoder.") and ".layer.1." in name)


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_stream_placement_is_another_method(family: str) -> None:
    logits, _ = _outcome(family, "stream")
    assert (logits - load_file(FILE)[f"{family}/logits"]).abs().max() > 1e-3
