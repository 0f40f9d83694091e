"""Masks of inputs to which soft tokens were added."""

from __future__ import annotations

import torch
from torch import Tensor


def longer(mask: Tensor | None, count: int, value: int = 1) -> Tensor | None:
    """Add `count` entries of `value` in front of a mask ``(batch, ..., length)``; None stays None."""
    if mask is None:
        return None
    return torch.cat([mask.new_full((*mask.shape[:-1], count), value), mask], dim=-1)
