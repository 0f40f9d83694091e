"""An operation and a method from outside src/ can be planned, counted, trained, applied, merged, saved and exported."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from petscale.cells import record
from petscale.cli import export
from petscale.errors import BadInput
from petscale.tuning.files import load_delta, save_delta
from petscale.tuning.functional import applied
from petscale.tuning.install import Delta, install
from petscale.tuning.operations.registry import OPERATIONS
from petscale.tuning.plan import Plan
from petscale.tuning.registry import make_plan

from .test_effective import effective
from .tiny import TINY, Tiny, randomise
from .toy import SCALING, ScaleHidden

STEPS = 5


@pytest.fixture(autouse=True)
def toy() -> Iterator[None]:
    with OPERATIONS.registered(ScaleHidden()):
        yield


def _trained(tiny: Tiny, plan: Plan) -> Delta:
    """A delta after five steps of AdamW."""
    delta = install(tiny.model, plan, seed=0)
    optimizer = torch.optim.AdamW(delta.parameters(), lr=1e-2, weight_decay=0.0)
    losses = []
    for _ in range(STEPS):
        loss = tiny.model(**tiny.batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        delta.after_step()
        losses.append(float(loss.detach()))
    assert losses == sorted(losses, reverse=True)
    assert delta.changed() == plan.trainable
    return delta


@pytest.mark.parametrize("family", list(TINY))
def test_counts_by_formula(family: str) -> None:
    """One scalar for each output of v in self-attention; rows of the matrix change where no bias stands in the way."""
    shape = TINY[family]().shape
    layers = shape.layers + shape.decoder_layers
    counts = make_plan(shape, SCALING).counts
    assert counts.trainable == counts.effective == layers * shape.inner
    assert counts.by_operation == {"scale-hidden": counts.trainable}
    merges = family != "bert"
    assert counts.deployed == (0 if merges else counts.trainable)
    assert counts.touched == (counts.trainable * shape.d_model if merges else 0)


@pytest.mark.parametrize("family", list(TINY))
def test_autograd_finds_the_effective_entries(family: str) -> None:
    tiny = TINY[family](torch.float64)
    plan = make_plan(tiny.shape, SCALING)
    assert effective(tiny, plan) == plan.effective


@pytest.mark.parametrize("family", list(TINY))
def test_it_starts_at_the_identity_trains_and_leaves(family: str) -> None:
    tiny = TINY[family]()
    before = tiny.logits()
    delta = install(tiny.model, make_plan(tiny.shape, SCALING), seed=0)
    assert torch.equal(tiny.logits(), before)
    delta.remove()
    delta = _trained(tiny, delta.plan)
    assert not torch.equal(tiny.logits(), before)
    delta.remove()
    assert torch.equal(tiny.logits(), before)


@pytest.mark.parametrize("family", list(TINY))
def test_installed_functional_and_reloaded_agree(family: str, tmp_path: Path) -> None:
    tiny = TINY[family](torch.float64)
    plan = make_plan(tiny.shape, SCALING)
    delta = _trained(tiny, plan)
    expected, state = tiny.logits(), delta.state()
    save_delta(tmp_path / "delta.safetensors", delta)
    delta.remove()
    with applied(tiny.model, plan, state):
        torch.testing.assert_close(tiny.logits(), expected, atol=1e-12, rtol=1e-9)
    found, values = load_delta(tmp_path / "delta.safetensors")
    assert found.digest == plan.digest
    install(tiny.model, found, seed=3).load_state(values)
    assert torch.equal(tiny.logits(), expected)


@pytest.mark.parametrize("family", list(TINY))
def test_it_merges_or_refuses_before_anything_is_changed(family: str) -> None:
    tiny = TINY[family](torch.float64)
    delta = _trained(tiny, make_plan(tiny.shape, SCALING))
    expected = tiny.logits()
    state = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    if family == "bert":
        with pytest.raises(BadInput, match=r"scale-hidden:.* cannot be merged exactly: .* has a bias"):
            delta.merge()
        assert all(torch.equal(value, state[name]) for name, value in tiny.model.state_dict().items())
        assert torch.equal(tiny.logits(), expected)
        return
    delta.merge()
    assert not any(module._forward_hooks for module in tiny.model.modules())
    torch.testing.assert_close(tiny.logits(), expected, atol=1e-12, rtol=1e-9)
    changed = sum(int((value != state[name]).sum()) for name, value in tiny.model.named_parameters())
    assert changed == delta.plan.counts.touched


def test_a_plan_with_one_site_that_cannot_merge_changes_nothing() -> None:
    """APET's branches can be merged, its bottlenecks cannot: the refusal comes before the first weight is written."""
    tiny = TINY["t5"]()
    options = {"operations": ["concat", "plug"], "rank": 2, "bottleneck": 2}
    delta = install(tiny.model, make_plan(tiny.shape, "apet-discrete", budget=99, options=options), seed=0)
    randomise(delta)
    state = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    with pytest.raises(BadInput, match="plug is no change of existing weights"):
        delta.merge()
    assert all(torch.equal(value, state[name]) for name, value in tiny.model.state_dict().items())


def test_peft_has_no_such_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says so and writes the file in the project's own format."""
    tiny = TINY["t5"]()
    save_delta(tmp_path / "cell" / "delta.safetensors", _trained(tiny, make_plan(tiny.shape, SCALING)))
    cell = SimpleNamespace(cell="tiny/task/x", spec={"backbone": "tiny"}, test={})
    monkeypatch.setattr(record, "read_result", lambda _path: cell)
    assert export.run(argparse.Namespace(cell=tmp_path / "cell", dir=tmp_path / "out")) == 0
    assert not (tmp_path / "out" / "adapter_config.json").exists()
    assert load_delta(tmp_path / "out" / "delta.safetensors")[0].method == "scaling"


def test_without_its_operation_a_saved_delta_is_one_line() -> None:
    tiny = TINY["t5"]()
    document = make_plan(tiny.shape, SCALING).to_json()
    del document["sites"][1:]
    document["sites"][0]["operation"] = "scale-elsewhere"
    with pytest.raises(BadInput, match="unknown operation 'scale-elsewhere'; operations: add"):
        Plan.from_json(document)
