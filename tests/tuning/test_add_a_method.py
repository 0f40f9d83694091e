"""The worked example of docs/add-a-method.md works exactly as it is printed there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from petscale.backbones.catalogue import lookup
from petscale.tuning.files import load_delta, save_delta
from petscale.tuning.install import install
from petscale.tuning.registry import make_plan

from .tiny import TINY

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "add-a-method.md"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    assert len(code.splitlines()) < 40
    names: dict[str, Any] = {}
    exec(compile(code, str(DOCUMENT), "exec"), names)
    return names


def test_counts_are_the_papers(example: dict[str, Any]) -> None:
    """122 norms of width 1,024, constant over T5-large, 3B and 11B."""
    for name in ("t5-large", "t5-3b", "t5-11b"):
        assert make_plan(lookup(name).shape, example["LN_TUNING"]).trainable == 122 * 1024


@pytest.mark.parametrize("family", list(TINY))
def test_it_trains_saves_and_leaves(family: str, example: dict[str, Any], tmp_path: Path) -> None:
    tiny = TINY[family]()
    before = tiny.logits()
    delta = install(tiny.model, make_plan(tiny.shape, example["LN_TUNING"]), seed=0)
    assert torch.equal(tiny.logits(), before)
    optimizer = torch.optim.AdamW(delta.parameters(), lr=1e-2)
    tiny.model(**tiny.batch).loss.backward()
    optimizer.step()
    delta.after_step()
    assert delta.changed() == delta.plan.trainable
    save_delta(tmp_path / "delta.safetensors", delta)
    plan, values = load_delta(tmp_path / "delta.safetensors")
    after = tiny.logits()
    delta.remove()
    assert torch.equal(tiny.logits(), before)
    install(tiny.model, plan, seed=1).load_state(values)
    assert torch.equal(tiny.logits(), after)
