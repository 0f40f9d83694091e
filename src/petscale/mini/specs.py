"""Sizes and recipes of the mini ladders, smallest first. Pure data: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

T5_STYLE: Mapping[str, int | bool] = MappingProxyType({"gated": True, "relative_buckets": 16, "relative_distance": 64})
BERT_STYLE: Mapping[str, int | bool] = MappingProxyType({"max_positions": 64, "type_vocab": 2})

STEPS = 6000


@dataclass(frozen=True)
class Spec:
    """One backbone and how it is pre-trained.

    All sizes of a ladder are trained on the same documents in the same order, and differ in their peak learning rate.
    `mini-t5-small-12k` has twice the steps of the others, because in 6,000 this size does not learn what yes-no
    questions ask.

    Attributes:
        family: name of the family whose layout the backbone has.
        decoder_layers: 0 for encoders.
        special_tokens: number of entries of the vocabulary that are not words of the language.
        layout: further numbers of the shape, by field of `petscale.families.shape.BackboneShape`.
    """

    family: str
    d_model: int
    d_ff: int
    heads: int
    d_kv: int
    encoder_layers: int
    decoder_layers: int
    peak_rate: float
    muon_rate: float
    special_tokens: int
    layout: Mapping[str, int | bool]
    steps: int = STEPS
    batch: int = 64
    warmup: int = 300


def _t5(
    d_model: int,
    d_ff: int,
    heads: int,
    d_kv: int,
    encoder_layers: int,
    decoder_layers: int,
    *,
    peak_rate: float,
    steps: int = STEPS,
) -> Spec:
    sizes = (d_model, d_ff, heads, d_kv, encoder_layers, decoder_layers)
    return Spec("t5", *sizes, peak_rate, muon_rate=4e-3, special_tokens=23, layout=T5_STYLE, steps=steps)


def _bert(d_model: int, d_ff: int, heads: int, d_kv: int, layers: int, *, peak_rate: float) -> Spec:
    sizes = (d_model, d_ff, heads, d_kv, layers, 0)
    return Spec("bert", *sizes, peak_rate, muon_rate=8e-3, special_tokens=5, layout=BERT_STYLE)


SPECS: dict[str, Spec] = {
    "mini-t5-small": _t5(32, 64, 2, 16, 2, 1, peak_rate=4e-3),
    "mini-t5-small-12k": _t5(32, 64, 2, 16, 2, 1, peak_rate=4e-3, steps=12_000),
    "mini-t5-base": _t5(64, 128, 4, 16, 2, 1, peak_rate=3e-3),
    "mini-t5-large": _t5(96, 256, 4, 24, 3, 1, peak_rate=2e-3),
    "mini-bert-small": _bert(32, 64, 2, 16, 2, peak_rate=3e-3),
    "mini-bert-base": _bert(64, 128, 4, 16, 2, peak_rate=2e-3),
    "mini-bert-large": _bert(96, 256, 4, 24, 3, peak_rate=1.5e-3),
}

RANDOM = "-random"


def spec_of(name: str) -> tuple[Spec, bool]:
    """The specification of a backbone, and whether it is the control without pre-training (`<name>-random`).

    Raises:
        ValueError: there is no backbone of that name.
    """
    bare = name.removesuffix(RANDOM)
    if bare not in SPECS:
        raise ValueError(f"unknown mini backbone {name!r}; known: {', '.join(SPECS)}, each also with {RANDOM!r}")
    return SPECS[bare], bare != name
