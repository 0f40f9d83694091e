"""No method looks ahead in a decoder, and padding moves no logit, whatever its delta is.

A mean over the sequence, as in the released gates of UniPELT, would break both.
"""

from __future__ import annotations

import pytest
import torch

from petscale.tuning.install import install

from .tiny import TINY, Tiny, methods_for, randomise, small_plan


def _cases(*families: str) -> list[tuple[str, str]]:
    return [(family, method) for family in families for method in methods_for(TINY[family]().shape)]


def _with_delta(family: str, method: str) -> Tiny:
    tiny = TINY[family](torch.float64)
    randomise(install(tiny.model, small_plan(tiny.shape, method), seed=0), 0.2)
    return tiny


@pytest.mark.parametrize(("family", "method"), _cases("t5", "t5-tied"))
def test_the_last_target_token_moves_no_earlier_logit(family: str, method: str) -> None:
    """With teacher forcing, the last token of the target is no input; the one before it is that of the last logit."""
    tiny = _with_delta(family, method)
    before = tiny.logits()
    labels = tiny.batch["labels"]
    labels[:, -2] = (labels[:, -2] + 1) % 57 + 3
    after = tiny.logits()
    assert torch.equal(before[:, :-1], after[:, :-1])
    assert not torch.equal(before[:, -1], after[:, -1])


@pytest.mark.parametrize(("family", "method"), _cases("t5", "t5-tied", "bert"))
def test_more_padding_moves_no_logit(family: str, method: str) -> None:
    tiny = _with_delta(family, method)
    before = tiny.logits()
    for name, value in tiny.inputs.items():
        tiny.batch[name] = torch.nn.functional.pad(value, (0, 5))
    torch.testing.assert_close(tiny.logits(), before, atol=1e-6, rtol=1e-6)
