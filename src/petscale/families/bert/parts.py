"""The parts of BERT, as `BertForSequenceClassification` of transformers 5, without the classification head.

These entries are dead (docs/mechanism.md): the key biases, which softmax cancels unless a method adds keys that do not
come from the sequence, and the padding row of the vocabulary, whose gradient `torch.nn.Embedding` sets to zero. Inputs
are assumed to have both segments and to reach the last position.
"""

from __future__ import annotations

from collections.abc import Iterator

from petscale.families.parts import Place, Ranges, Weight
from petscale.families.shape import BackboneShape

_EMBEDDINGS = "bert.embeddings"


def weights(shape: BackboneShape, more_keys: frozenset[str]) -> tuple[Weight, ...]:
    """All tensors of a BERT encoder with pooler, with role, shape and dead entries.

    Args:
        shape: shape of the backbone.
        more_keys: paths of the attentions to which a method adds keys, where biases on k have an effect.
    """
    return tuple(_weights(shape, more_keys))


def places(shape: BackboneShape) -> tuple[Place, ...]:
    """The places of a BERT encoder where a method can insert something: input, attentions and sub-layers."""
    return tuple(_places(shape))


def _weights(shape: BackboneShape, more_keys: frozenset[str]) -> Iterator[Weight]:
    d = shape.d_model
    pad: Ranges = ((shape.pad_token * d, (shape.pad_token + 1) * d),)
    yield Weight(f"{_EMBEDDINGS}.word_embeddings", "weight", "vocabulary", (shape.vocab, d), "encoder", pad)
    yield Weight(f"{_EMBEDDINGS}.position_embeddings", "weight", "position", (shape.max_positions, d), "encoder")
    yield Weight(f"{_EMBEDDINGS}.token_type_embeddings", "weight", "segment", (shape.type_vocab, d), "encoder")
    yield from _norm(f"{_EMBEDDINGS}.LayerNorm", d)
    for layer in range(shape.layers):
        for module, role, size in _linears(shape, layer):
            cancelled = role == "self.k" and _attention(layer) not in more_keys
            yield from _linear(module, role, size, layer, cancelled=cancelled)
        yield from _norm(f"{_layer(layer)}.attention.output.LayerNorm", d, layer)
        yield from _norm(f"{_layer(layer)}.output.LayerNorm", d, layer)
    yield from _linear("bert.pooler.dense", "pooler", (d, d))


def _places(shape: BackboneShape) -> Iterator[Place]:
    d = shape.d_model
    yield Place("bert", "input", "input", 0, d, "encoder")
    for layer in range(shape.layers):
        for module, role, (out, inside) in _linears(shape, layer):
            yield Place(module, "branch", role, inside, out, "encoder")
        for module, role in ((f"{_layer(layer)}.attention.output", "self"), (f"{_layer(layer)}.output", "ffn")):
            yield Place(module, "stream", role, d, d, "encoder")
            yield Place(f"{module}.dropout", "sublayer", role, d, d, "encoder")
        path = _layer(layer)
        beside = f"{path}.output.dropout"
        yield Place(beside, "parallel", "ffn", d, d, "encoder", reads=f"{path}.intermediate")
        yield Place(_attention(layer), "attention", "self", d, shape.inner, "encoder")


def _layer(layer: int) -> str:
    return f"bert.encoder.layer.{layer}"


def _attention(layer: int) -> str:
    return f"{_layer(layer)}.attention.self"


def _linears(shape: BackboneShape, layer: int) -> tuple[tuple[str, str, tuple[int, int]], ...]:
    d, inner, ff, path = shape.d_model, shape.inner, shape.d_ff, _layer(layer)
    return (
        (f"{path}.attention.self.query", "self.q", (inner, d)),
        (f"{path}.attention.self.key", "self.k", (inner, d)),
        (f"{path}.attention.self.value", "self.v", (inner, d)),
        (f"{path}.attention.output.dense", "self.o", (d, inner)),
        (f"{path}.intermediate.dense", "ffn.up", (ff, d)),
        (f"{path}.output.dense", "ffn.down", (d, ff)),
    )


def _linear(
    module: str, role: str, size: tuple[int, int], layer: int | None = None, *, cancelled: bool = False
) -> Iterator[Weight]:
    yield Weight(module, "weight", role, size, "encoder", layer=layer)
    dead: Ranges = ((0, size[0]),) if cancelled else ()
    yield Weight(module, "bias", f"{role}.bias", size[:1], "encoder", dead, layer)


def _norm(module: str, width: int, layer: int | None = None) -> Iterator[Weight]:
    yield Weight(module, "weight", "norm", (width,), "encoder", layer=layer)
    yield Weight(module, "bias", "norm.bias", (width,), "encoder", layer=layer)
