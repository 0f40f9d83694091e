"""A tensor that several sites share: trained once, counted once, saved once, and in the gradient of all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from petscale.tuning.export import to_peft
from petscale.tuning.files import load_delta, save_delta
from petscale.tuning.functional import applied
from petscale.tuning.install import install
from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Request
from petscale.tuning.methods.lora import LORA, LoraOptions
from petscale.tuning.plan import Plan
from petscale.tuning.registry import make_plan
from petscale.tuning.site import Site, Trained

from .tiny import TINY, Tiny, randomise


def _build(offered: Inventory, request: Request[LoraOptions]) -> Iterator[Site | Trained]:
    """LoRA whose sites have one `down` for all, as in VeRA but trained."""
    sites = [site for site in LORA.build(offered, request) if isinstance(site, Site)]
    yield sites[0].tensors[0]
    yield from (replace(site, tensors=site.tensors[1:], uses={"down": "down"}) for site in sites)


ONE_DOWN = replace(LORA, name="one-down", build=_build)


def _plans(family: str, dtype: torch.dtype = torch.float64) -> tuple[Tiny, Plan, Plan]:
    """A tiny backbone, LoRA on it, and the same with one `down` for all sites."""
    tiny = TINY[family](dtype)
    apart, shared = (make_plan(tiny.shape, method, options={"rank": 2}) for method in (LORA, ONE_DOWN))
    return tiny, apart, shared


@pytest.mark.parametrize("family", list(TINY))
def test_counted_once(family: str) -> None:
    _, apart, shared = _plans(family)
    down, up = apart.sites[0].tensors
    assert apart.trainable == len(apart.sites) * (down.count + up.count)
    assert shared.trainable == shared.effective == down.count + len(apart.sites) * up.count
    assert shared.counts.by_role["shared"] == shared.counts.by_operation["shared"] == down.count
    assert sum(shared.counts.by_role.values()) == sum(shared.counts.by_operation.values()) == shared.trainable
    assert (shared.counts.deployed, shared.counts.touched) == (0, apart.counts.touched)


@pytest.mark.parametrize("family", list(TINY))
def test_its_gradient_is_the_sum_over_its_sites(family: str) -> None:
    """Against the same model with a `down` for each site, all of one value."""
    tiny, apart, shared = _plans(family)
    delta = install(tiny.model, shared, seed=0)
    assert [key for key, _ in delta.named_parameters()].count("shared/down") == 1
    assert sum(parameter.numel() for parameter in delta.parameters()) == shared.trainable
    randomise(delta)
    tiny.model(**tiny.batch).loss.backward()
    found = dict(delta.named_parameters())["shared/down"].grad
    state = delta.state()
    delta.remove()
    separate = install(tiny.model, apart, seed=0)
    separate.load_state({key: state.get(key, state["shared/down"]) for key, _ in separate.named_parameters()})
    tiny.model(**tiny.batch).loss.backward()
    downs = [parameter.grad for key, parameter in separate.named_parameters() if key.endswith("/down")]
    torch.testing.assert_close(found, torch.stack(downs).sum(0))


def test_applied_saved_loaded_and_merged(tmp_path: Path) -> None:
    tiny, _, plan = _plans("t5", torch.float32)
    delta = install(tiny.model, plan, seed=0)
    randomise(delta)
    expected, state = tiny.logits(), delta.state()
    save_delta(tmp_path / "delta.safetensors", delta)
    delta.remove()
    with applied(tiny.model, plan, state):
        torch.testing.assert_close(tiny.logits(), expected, atol=1e-5, rtol=1e-5)
    found, values = load_delta(tmp_path / "delta.safetensors")
    assert found.digest == plan.digest == Plan.from_json(json.loads(json.dumps(plan.to_json()))).digest
    assert set(values) == set(state)
    assert sum(value.numel() for value in values.values()) == plan.trainable
    again = install(tiny.model, found, seed=7)
    again.load_state(values)
    assert torch.equal(tiny.logits(), expected)
    again.merge()
    torch.testing.assert_close(tiny.logits(), expected, atol=2e-5, rtol=1e-4)


def test_peft_has_no_shared_factors() -> None:
    _, _, plan = _plans("t5")
    assert to_peft(plan, {}, {}, "tiny") is None
