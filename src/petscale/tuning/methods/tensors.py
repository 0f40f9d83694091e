"""Functions that make trained tensors whose entries are all trained; methods with several kinds of them share these."""

from __future__ import annotations

from math import prod
from typing import Any

from petscale.tuning.site import Trained
from petscale.tuning.sites import DENSE

GATE_STD = 0.02  # of a gate's weights in the released code of UniPELT and in the adapters library


def dense(key: str, shape: tuple[int, ...], start: str, *, dead: bool = False, **settings: Any) -> Trained:
    """A tensor without a mask; `settings` are those of its start."""
    return Trained(key, shape, DENSE, start, 0 if dead else prod(shape), settings)


def gate(width: int, *, dead: bool = False) -> tuple[Trained, Trained]:
    """The two tensors of a gate that reads states of this width; it starts near a half."""
    return dense("gate", (width,), "normal", dead=dead, std=GATE_STD), dense("gate.bias", (1,), "zeros", dead=dead)
