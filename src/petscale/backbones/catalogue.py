"""The backbones that a study may name, with their shapes, so that counting and planning need no hub.

The papers' backbones have their hub ids. The mini backbones are built by this project, each with a randomly initialised
control of the same shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Literal

from petscale.backbones.pins import PINS
from petscale.errors import BadInput
from petscale.families.shape import BackboneShape
from petscale.mini.specs import RANDOM, SPECS, Spec
from petscale.mini.words import vocabulary


@dataclass(frozen=True, slots=True)
class Entry:
    """One backbone.

    Attributes:
        name: its name in studies, paths and tags.
        source: `hub` (downloaded), `mini` (pre-trained by this project) or `random` (only initialised).
        hub_id: repository on the hub; None for backbones that this project builds.
        revision: commit of the hub repository (`main` if none is known; a fetch records the one it found), or version
            of the mini ladder.
        tokenizer: backbones with equal values share token files.
    """

    name: str
    source: Literal["hub", "mini", "random"]
    hub_id: str | None
    revision: str
    tokenizer: str
    shape: BackboneShape


def _t5(name: str, d_model: int, d_ff: int, heads: int, layers: int, *, d_kv: int = 64, v1_1: bool = True) -> Entry:
    shape = BackboneShape(
        family="t5",
        d_model=d_model,
        d_ff=d_ff,
        heads=heads,
        d_kv=d_kv,
        layers=layers,
        decoder_layers=layers,
        vocab=32128,
        gated=v1_1,
        tied=not v1_1,
        relative_buckets=32,
        relative_distance=128,
    )
    return Entry(name, "hub", name, PINS.get(name, "main"), "t5", shape)


def _bert(name: str, d_model: int, layers: int) -> Entry:
    shape = BackboneShape(
        family="bert",
        d_model=d_model,
        d_ff=4 * d_model,
        heads=d_model // 64,
        d_kv=64,
        layers=layers,
        decoder_layers=0,
        vocab=30522,
        max_positions=512,
        type_vocab=2,
    )
    return Entry(name, "hub", name, PINS.get(name, "main"), "bert-uncased", shape)


def _mini(name: str, spec: Spec) -> Iterator[Entry]:
    """A mini backbone and its control.

    Numbers that pretraining.models and pretraining.tokenizer fix are repeated in mini.specs, because those modules
    import torch and tokenizers; a test compares them.

    Yields:
        The pre-trained backbone, and then its control with random weights.
    """
    shape = BackboneShape(
        family=spec.family,
        d_model=spec.d_model,
        d_ff=spec.d_ff,
        heads=spec.heads,
        d_kv=spec.d_kv,
        layers=spec.encoder_layers,
        decoder_layers=spec.decoder_layers,
        vocab=len(vocabulary()) + spec.special_tokens,
        **spec.layout,  # type: ignore[arg-type]
    )
    tokenizer = f"mini-{spec.family}"
    yield Entry(name, "mini", None, "mini-v2", tokenizer, shape)
    yield Entry(name + RANDOM, "random", None, "mini-v2", tokenizer, shape)


def _entries() -> Iterator[Entry]:
    yield _t5("google/t5-v1_1-small", 512, 1024, 6, 8)
    yield _t5("google/t5-v1_1-base", 768, 2048, 12, 12)
    yield _t5("google/t5-v1_1-large", 1024, 2816, 16, 24)
    yield _t5("google/t5-v1_1-xl", 2048, 5120, 32, 24)
    yield _t5("google/t5-v1_1-xxl", 4096, 10240, 64, 24)
    yield _t5("t5-large", 1024, 4096, 16, 24, v1_1=False)
    yield _t5("t5-3b", 1024, 16384, 32, 24, d_kv=128, v1_1=False)
    yield _t5("t5-11b", 1024, 65536, 128, 24, d_kv=128, v1_1=False)
    yield _bert("google/bert_uncased_L-4_H-512_A-8", 512, 4)
    yield _bert("google/bert_uncased_L-12_H-768_A-12", 768, 12)
    yield _bert("bert-large-uncased", 1024, 24)
    for name, spec in SPECS.items():
        yield from _mini(name, spec)


CATALOGUE: Mapping[str, Entry] = MappingProxyType({entry.name: entry for entry in _entries()})

ALIASES: Mapping[str, str] = MappingProxyType(
    {name.removeprefix("google/"): name for name in CATALOGUE if name.startswith("google/")}
    | {
        "bert-small": "google/bert_uncased_L-4_H-512_A-8",
        "bert-base": "google/bert_uncased_L-12_H-768_A-12",
        "bert-large": "bert-large-uncased",
        "google-bert/bert-large-uncased": "bert-large-uncased",
        "google-t5/t5-large": "t5-large",
        "google-t5/t5-3b": "t5-3b",
        "google-t5/t5-11b": "t5-11b",
    }
)


def lookup(name: str) -> Entry:
    """The entry of a name or alias.

    Raises:
        BadInput: there is no such backbone; the message suggests the closest names.
    """
    entry = CATALOGUE.get(ALIASES.get(name, name))
    if entry is None:
        near = get_close_matches(name, [*CATALOGUE, *ALIASES], n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "`petscale count --help` lists the known ones"
        raise BadInput(f"unknown backbone {name!r}; {hint}")
    return entry
