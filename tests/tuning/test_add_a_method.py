"""The worked example of docs/add-a-method.md works exactly as it is printed there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from petscale.backbones.catalogue import lookup
from petscale.errors import BadInput
from petscale.tuning.files import load_delta, save_delta
from petscale.tuning.install import install
from petscale.tuning.operations.registry import OPERATIONS
from petscale.tuning.registry import make_plan

from .tiny import TINY, randomise

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "add-a-method.md"


@pytest.fixture
def example() -> Iterator[dict[str, Any]]:
    """The names that the printed code defines, with its operation registered."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    assert len(code.splitlines()) < 70
    names: dict[str, Any] = {}
    exec(compile(code, str(DOCUMENT), "exec", dont_inherit=True), names)
    with OPERATIONS.registered(names["ScaleShift"]()):
        yield names


def test_counts_are_two_vectors_for_every_sublayer(example: dict[str, Any]) -> None:
    for name in ("t5-large", "t5-3b", "t5-11b"):
        assert make_plan(lookup(name).shape, example["SSF"]).trainable == 5 * 24 * 2 * 1024
    some = make_plan(lookup("t5-large").shape, example["SSF"], options={"sublayers": ["cross"]})
    assert some.trainable == some.counts.deployed == 24 * 2 * 1024


@pytest.mark.parametrize("family", list(TINY))
def test_it_trains_saves_and_leaves(family: str, example: dict[str, Any], tmp_path: Path) -> None:
    tiny = TINY[family]()
    before = tiny.logits()
    delta = install(tiny.model, make_plan(tiny.shape, example["SSF"]), seed=0)
    assert torch.equal(tiny.logits(), before)
    optimizer = torch.optim.AdamW(delta.parameters(), lr=1e-2)
    tiny.model(**tiny.batch).loss.backward()
    optimizer.step()
    delta.after_step()
    assert delta.changed() == delta.plan.trainable == delta.plan.effective
    save_delta(tmp_path / "delta.safetensors", delta)
    plan, values = load_delta(tmp_path / "delta.safetensors")
    after = tiny.logits()
    with pytest.raises(BadInput, match="cannot be merged exactly"):
        delta.merge()
    delta.remove()
    assert torch.equal(tiny.logits(), before)
    install(tiny.model, plan, seed=1).load_state(values)
    assert torch.equal(tiny.logits(), after)


def test_it_scales_and_shifts(example: dict[str, Any]) -> None:
    """Against a hook that is written by hand."""
    tiny = TINY["bert"](torch.float64)
    delta = install(tiny.model, make_plan(tiny.shape, example["SSF"]), seed=0)
    randomise(delta)
    found, state = tiny.logits(), delta.state()
    delta.remove()
    for site in delta.plan.sites:
        scale, shift = 1 + state[f"{site.name}/scale"], state[f"{site.name}/shift"]
        module = tiny.model.get_submodule(site.module)
        module.register_forward_hook(lambda _m, _a, output, scale=scale, shift=shift: scale * output + shift)
    torch.testing.assert_close(tiny.logits(), found)
