"""Functions that make trained tensors whose entries are all trained; methods with several kinds of them share these."""

from __future__ import annotations

from math import prod
from typing import Any, Literal

from petscale.tuning.site import Trained
from petscale.tuning.sites import DENSE

Learned = Literal["difference", "factor"]
"""What is trained of a learned scale l, which starts at 1: w = l - 1, or l itself."""

LEARNS = "of a learned scale l: its difference to 1, or l itself, which bfloat16 masters leave at 1"

GATE_STD = 0.02  # of a gate's weights in the released code of UniPELT and in the adapters library


def dense(key: str, shape: tuple[int, ...], start: str, *, dead: bool = False, **settings: Any) -> Trained:
    """A tensor without a mask; `settings` are those of its start."""
    return Trained(key, shape, DENSE, start, 0 if dead else prod(shape), settings)


def scale(width: int, learns: Learned, *, dead: bool = False) -> tuple[Trained, dict[str, str]]:
    """A learned scale of that width, and the settings of its site that say what its values are."""
    if learns == "difference":
        return dense("scale", (width,), "zeros", dead=dead), {}
    return dense("scale", (width,), "constant", dead=dead, value=1.0), {"learns": learns}


def gate(width: int, *, dead: bool = False) -> tuple[Trained, Trained]:
    """The two tensors of a gate that reads states of this width; it starts near a half."""
    return dense("gate", (width,), "normal", dead=dead, std=GATE_STD), dense("gate.bias", (1,), "zeros", dead=dead)
