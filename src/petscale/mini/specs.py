"""Sizes and recipes of the mini ladders, smallest first. Pure data: no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["t5", "bert"]


@dataclass(frozen=True)
class Spec:
    """One backbone and how it is pre-trained.

    All sizes of a ladder see the same documents in the same order; only the peak learning rate follows the size.
    `decoder_layers` is 0 for the BERT family.
    """

    family: Family
    d_model: int
    d_ff: int
    heads: int
    d_kv: int
    encoder_layers: int
    decoder_layers: int
    peak_rate: float
    muon_rate: float
    steps: int = 6000
    batch: int = 64
    warmup: int = 300


SPECS: dict[str, Spec] = {
    "mini-t5-small": Spec("t5", 32, 64, 2, 16, 2, 1, peak_rate=4e-3, muon_rate=4e-3),
    "mini-t5-base": Spec("t5", 64, 128, 4, 16, 2, 1, peak_rate=3e-3, muon_rate=4e-3),
    "mini-t5-large": Spec("t5", 96, 256, 4, 24, 3, 1, peak_rate=2e-3, muon_rate=4e-3),
    "mini-bert-small": Spec("bert", 32, 64, 2, 16, 2, 0, peak_rate=3e-3, muon_rate=8e-3),
    "mini-bert-base": Spec("bert", 64, 128, 4, 16, 2, 0, peak_rate=2e-3, muon_rate=8e-3),
    "mini-bert-large": Spec("bert", 96, 256, 4, 24, 3, 0, peak_rate=1.5e-3, muon_rate=8e-3),
}

RANDOM = "-random"


def spec_of(name: str) -> tuple[Spec, bool]:
    """The specification of a backbone, and whether it is the control without pre-training (`<name>-random`).

    Raises:
        ValueError: no backbone of that name.
    """
    bare = name.removesuffix(RANDOM)
    if bare not in SPECS:
        raise ValueError(f"unknown mini backbone {name!r}; known: {', '.join(SPECS)}, each also with {RANDOM!r}")
    return SPECS[bare], bare != name
