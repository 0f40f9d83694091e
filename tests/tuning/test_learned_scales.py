"""A learned scale can be trained as its difference to 1 or as the factor itself; the model computes the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from petscale.tuning.functional import applied
from petscale.tuning.install import install

from .tiny import TINY, small_plan

CASES = [("ia3", {}), ("parallel-adapter", {"reduction": 4}), ("mam", {"tokens": 3, "middle": 5, "reduction": 4})]


@pytest.mark.parametrize("family", list(TINY))
@pytest.mark.parametrize(("method", "options"), CASES)
def test_a_factor_is_one_and_the_difference(family: str, method: str, options: dict[str, Any]) -> None:
    logits = []
    values: dict[str, torch.Tensor] = {}
    for learns in ("difference", "factor"):
        tiny = TINY[family](torch.float64)
        plan = small_plan(tiny.shape, method, options={**options, "learns": learns})
        delta = install(tiny.model, plan, seed=0)
        if not values:
            values = {key: 0.3 * torch.randn_like(value) for key, value in delta.state().items()}
        else:
            assert all((value == 1).all() for key, value in delta.state().items() if key.endswith("/scale"))
            values = {key: value + 1 if key.endswith("/scale") else value for key, value in values.items()}
        delta.load_state(values)
        logits.append(tiny.logits())
        if method == "ia3":
            delta.merge()
            torch.testing.assert_close(tiny.logits(), logits[-1], atol=1e-12, rtol=1e-12)
        else:
            delta.remove()
            with applied(tiny.model, plan, values):
                torch.testing.assert_close(tiny.logits(), logits[-1], atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(logits[0], logits[1], atol=1e-12, rtol=1e-12)
