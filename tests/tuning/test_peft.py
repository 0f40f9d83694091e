"""LoRA, prompt tuning, SHiRA, LoKr, (IA)^3 and LN tuning equal HF PEFT with equal weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from petscale.tuning.install import install
from petscale.tuning.registry import make_plan

from .tiny import TINY, Tiny, randomise, small_plan, tiny_t5

peft = pytest.importorskip("peft")

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def _ours(tiny: Tiny, plan: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Logits, values and gradients of an installed random delta; the model is as before afterwards."""
    delta = install(tiny.model, plan, seed=0)
    randomise(delta)
    output = tiny.model(**tiny.batch)
    output.loss.backward()
    gradients = {key: parameter.grad for key, parameter in delta.named_parameters()}
    state = delta.state()
    delta.remove()
    return output.logits.detach(), state, gradients


@pytest.mark.parametrize("family", list(TINY))
@pytest.mark.parametrize("targets", [["self.q", "self.v"], ["self.*", "ffn.*"]])
def test_lora(family: str, targets: list[str]) -> None:
    tiny = TINY[family]()
    plan = make_plan(tiny.shape, "lora", options={"rank": 3, "alpha": 5, "targets": targets})
    logits, state, gradients = _ours(tiny, plan)
    modules = [site.module for site in plan.sites]
    model = peft.get_peft_model(tiny.model, peft.LoraConfig(r=3, lora_alpha=5, target_modules=modules))
    layers = {site.name: model.base_model.model.get_submodule(site.module) for site in plan.sites}
    with torch.no_grad():
        for name, layer in layers.items():
            layer.lora_A["default"].weight.copy_(state[f"{name}/down"])
            layer.lora_B["default"].weight.copy_(state[f"{name}/up"].T)
    output = model(**tiny.batch)
    output.loss.backward()
    torch.testing.assert_close(output.logits.detach(), logits, **CLOSE)
    for name, layer in layers.items():
        torch.testing.assert_close(layer.lora_A["default"].weight.grad, gradients[f"{name}/down"], **CLOSE)
        torch.testing.assert_close(layer.lora_B["default"].weight.grad.T, gradients[f"{name}/up"], **CLOSE)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == plan.trainable


def test_prompt_tuning_on_t5() -> None:
    """One submodule: PEFT's default of two allocates twice the tokens and uses half of them."""
    tiny = tiny_t5()
    plan = small_plan(tiny.shape, "prompt")
    logits, state, gradients = _ours(tiny, plan)
    config = peft.PromptTuningConfig(
        task_type="SEQ_2_SEQ_LM", num_virtual_tokens=4, num_transformer_submodules=1, token_dim=16
    )
    model = peft.get_peft_model(tiny.model, config)
    embedding = model.prompt_encoder["default"].embedding.weight
    assert embedding.numel() == plan.trainable
    (key,) = state
    with torch.no_grad():
        embedding.copy_(state[key])
    output = model(**tiny.batch)
    output.loss.backward()
    torch.testing.assert_close(output.logits.detach(), logits, **CLOSE)
    torch.testing.assert_close(embedding.grad, gradients[key], **CLOSE)


@pytest.mark.parametrize("family", list(TINY))
def test_shira(family: str) -> None:
    """SHiRA is apet-discrete on linear weights, in another execution; here both get the same entries."""
    tiny = TINY[family]()
    lora = make_plan(tiny.shape, "lora", options={"rank": 1})
    plan = make_plan(tiny.shape, "apet-discrete", budget=lora.trainable, options={"roles": ["self.q", "self.v"]})
    logits, state, gradients = _ours(tiny, plan)
    assert {site.module for site in plan.sites} == {site.module for site in lora.sites}
    model = peft.get_peft_model(
        tiny.model, peft.ShiraConfig(r=1, target_modules=[site.module for site in plan.sites], init_weights=False)
    )
    for site in plan.sites:
        (tensor,) = site.tensors
        layer = model.base_model.model.get_submodule(site.module)
        positions = torch.from_numpy(tensor.mask.indices(tensor.shape, site.key(tensor)))
        assert layer.shira_weight["default"].numel() == len(positions)
        layer.shira_indices["default"] = torch.stack([positions // tensor.shape[1], positions % tensor.shape[1]])
        with torch.no_grad():
            layer.shira_weight["default"].copy_(state[site.key(tensor)])
    output = model(**tiny.batch)
    output.loss.backward()
    torch.testing.assert_close(output.logits.detach(), logits, **CLOSE)
    for site in plan.sites:
        key = site.key(site.tensors[0])
        layer = model.base_model.model.get_submodule(site.module)
        torch.testing.assert_close(layer.shira_weight["default"].grad, gradients[key], **CLOSE)


@pytest.mark.parametrize("family", list(TINY))
@pytest.mark.parametrize(("method", "rank", "options"), [("lokr", 1, {"rank": 1, "alpha": 3}), ("krona", 10_000, None)])
def test_lokr(family: str, method: str, rank: int, options: dict[str, Any] | None) -> None:
    """With a rank above both sides of its larger factor, LoKr is KronA."""
    tiny = TINY[family]()
    plan = make_plan(tiny.shape, method, options=options)
    assert {site.parametrisation for site in plan.sites} == {"kronecker-low-rank" if method == "lokr" else "kronecker"}
    logits, state, gradients = _ours(tiny, plan)
    config = peft.LoKrConfig(
        r=rank, alpha=3 if method == "lokr" else rank, target_modules=[site.module for site in plan.sites]
    )
    model = peft.get_peft_model(tiny.model, config)
    names = {"left": "w1", "right": "w2", "right.up": "w2_a", "right.down": "w2_b"}
    theirs = {
        site.key(tensor): getattr(model.base_model.model.get_submodule(site.module), f"lokr_{names[tensor.key]}")
        for site in plan.sites
        for tensor in site.tensors
    }
    with torch.no_grad():
        for key, parameters in theirs.items():
            parameters["default"].copy_(state[key][0])
    output = model(**tiny.batch)
    output.loss.backward()
    torch.testing.assert_close(output.logits.detach(), logits, **CLOSE)
    for key, parameters in theirs.items():
        torch.testing.assert_close(parameters["default"].grad, gradients[key][0], **CLOSE)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == plan.trainable


@pytest.mark.parametrize("family", list(TINY))
def test_ia3(family: str) -> None:
    """PEFT trains l where `scale` trains w = l - 1, so values differ by 1 and gradients are equal."""
    tiny = TINY[family]()
    plan = make_plan(tiny.shape, "ia3")
    logits, state, gradients = _ours(tiny, plan)
    inputs = [site.module for site in plan.sites if site.settings["at"] == "input"]
    modules = [site.module for site in plan.sites]
    model = peft.get_peft_model(tiny.model, peft.IA3Config(target_modules=modules, feedforward_modules=inputs))
    layers = {site.name: model.base_model.model.get_submodule(site.module).ia3_l["default"] for site in plan.sites}
    with torch.no_grad():
        for name, vector in layers.items():
            vector.copy_((1 + state[f"{name}/scale"]).reshape(vector.shape))
    output = model(**tiny.batch)
    output.loss.backward()
    torch.testing.assert_close(output.logits.detach(), logits, **CLOSE)
    for name, vector in layers.items():
        torch.testing.assert_close(vector.grad.flatten(), gradients[f"{name}/scale"], **CLOSE)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == plan.trainable


@pytest.mark.parametrize("family", list(TINY))
def test_ln_tuning(family: str) -> None:
    tiny = TINY[family]()
    plan = make_plan(tiny.shape, "ln-tuning")
    logits, state, gradients = _ours(tiny, plan)
    modules = list(dict.fromkeys(site.module for site in plan.sites))
    model = peft.get_peft_model(tiny.model, peft.LNTuningConfig(target_modules=modules))
    trained = {
        site.key(site.tensors[0]): model.base_model.model.get_submodule(site.module)
        .ln_tuning_layers["default"]
        .get_parameter(site.settings["tensor"])
        for site in plan.sites
    }
    with torch.no_grad():
        for key, parameter in trained.items():
            parameter.copy_(state[key])
    output = model(**tiny.batch)
    output.loss.backward()
    torch.testing.assert_close(output.logits.detach(), logits, **CLOSE)
    for key, parameter in trained.items():
        torch.testing.assert_close(parameter.grad, gradients[key], **CLOSE)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == plan.trainable
