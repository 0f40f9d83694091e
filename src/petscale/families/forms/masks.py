"""Attention masks of models of transformers, also of inputs to which soft tokens were added."""

from __future__ import annotations

import torch
from torch import Tensor


def longer(mask: Tensor | None, count: int, value: int = 1) -> Tensor | None:
    """Add `count` entries of `value` in front of a mask ``(batch, ..., length)``; None stays None."""
    if mask is None:
        return None
    return torch.cat([mask.new_full((*mask.shape[:-1], count), value), mask], dim=-1)


def whole(mask: Tensor) -> Tensor | None:
    """A mask ``(b, s)`` of booleans in the form that the attention uses, ``(b, 1, 1, s)``; None if it masks nothing.

    From a mask ``(b, s)`` transformers makes this form in every stack of a model, after a look at whether it masks
    anything, for which it waits for the device. It takes one of four dimensions as it is, and none means that there is
    no padding (`transformers.masking_utils`).
    """
    return None if mask.all() else mask[:, None, None, :]
