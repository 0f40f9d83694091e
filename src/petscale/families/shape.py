"""The shape of a backbone: every number that counts and plans need, read from a config without loading a weight.

Facts 1.1. A shape is what the plan of a method depends on, so it is pure data: two backbones with equal shapes
have equal plans.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from petscale.errors import BadInput

Family = Literal["t5", "bert"]

_T5_HEAD = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class BackboneShape:
    """Dimensions of a T5 (encoder-decoder) or BERT-style (encoder) backbone.

    Attributes:
        family: which module layout the backbone has.
        d_model: width of the hidden states, d in the papers.
        d_ff: width inside the feed-forward network.
        heads: attention heads; `inner` = heads * d_kv is the width of q, k and v.
        d_kv: width of one head.
        layers: blocks of the encoder.
        decoder_layers: blocks of the decoder; 0 for an encoder.
        vocab: rows of the vocabulary matrices, padding rows included.
        gated: the feed-forward network has two input matrices (T5 v1.1).
        tied: one matrix serves as input embedding and output head (T5 v1.0).
        relative_buckets: rows of a relative-position table (T5); 0 for absolute positions.
        relative_distance: distance from which on all positions share the last bucket (T5).
        max_positions: rows of the absolute position table (BERT); 0 for relative positions.
        type_vocab: rows of the segment table (BERT).
        pad_token: the row of the vocabulary that BERT keeps at zero gradient.
    """

    family: Family
    d_model: int
    d_ff: int
    heads: int
    d_kv: int
    layers: int
    decoder_layers: int
    vocab: int
    gated: bool = False
    tied: bool = False
    relative_buckets: int = 0
    relative_distance: int = 0
    max_positions: int = 0
    type_vocab: int = 0
    pad_token: int = 0

    @property
    def inner(self) -> int:
        """Width of q, k and v: heads * d_kv."""
        return self.heads * self.d_kv

    @property
    def parameters(self) -> int:
        """Scalars of the backbone, without a classification head; equals facts 1.1 exactly.

        A closed formula on purpose: the inventory counts the same by listing every tensor, and a test compares.
        """
        return _t5_parameters(self) if self.family == "t5" else _bert_parameters(self)

    def to_json(self) -> dict[str, Any]:
        """Plain data, for manifests."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> BackboneShape:
        """The inverse of `to_json`.

        Raises:
            BadInput: a field is missing or unknown.
        """
        wrong = {field.name for field in fields(cls)} ^ set(document)
        if wrong:
            raise BadInput(f"backbone shape: field {min(wrong)} is missing or unknown")
        return cls(**document)


def _t5_parameters(shape: BackboneShape) -> int:
    d, attention = shape.d_model, 4 * shape.d_model * shape.inner
    feed_forward = (3 if shape.gated else 2) * d * shape.d_ff
    encoder = shape.layers * (attention + feed_forward + 2 * d)
    decoder = shape.decoder_layers * (2 * attention + feed_forward + 3 * d)
    tables = 2 * shape.relative_buckets * shape.heads
    vocabulary = (1 if shape.tied else 2) * shape.vocab * d
    return vocabulary + encoder + decoder + tables + 2 * d


def _bert_parameters(shape: BackboneShape) -> int:
    d, inner, ff = shape.d_model, shape.inner, shape.d_ff
    embeddings = (shape.vocab + shape.max_positions + shape.type_vocab) * d + 2 * d
    attention = 3 * (d * inner + inner) + inner * d + d + 2 * d
    feed_forward = d * ff + ff + ff * d + d + 2 * d
    pooler = d * d + d
    return embeddings + shape.layers * (attention + feed_forward) + pooler


def shape_from_config(config: Mapping[str, Any], tensor_names: Collection[str] | None = None) -> BackboneShape:
    """Read a shape from the content of a `config.json`.

    Args:
        config: the parsed file.
        tensor_names: names in the safetensors header. They decide tying: transformers 5 writes
            `tie_word_embeddings: true` into every T5 config and unties at load where both matrices are stored
            (design 3.1). Without them the config's own word is taken, which is right for configs older than that.

    Raises:
        BadInput: an unknown model type, or a missing or impossible number; the message names the key.
    """
    model_type = config.get("model_type")
    if model_type == "t5":
        return _t5_shape(config, tensor_names)
    if model_type == "bert":
        return _bert_shape(config)
    raise BadInput(f"config key model_type: {model_type!r} is not a supported family; use t5 or bert")


def _t5_shape(config: Mapping[str, Any], tensor_names: Collection[str] | None) -> BackboneShape:
    layers = _size(config, "num_layers")
    says_tied = bool(config.get("tie_word_embeddings", True))
    decoder_layers = config.get("num_decoder_layers")
    return BackboneShape(
        family="t5",
        d_model=_size(config, "d_model"),
        d_ff=_size(config, "d_ff"),
        heads=_size(config, "num_heads"),
        d_kv=_size(config, "d_kv"),
        layers=layers,
        decoder_layers=layers if decoder_layers is None else _size(config, "num_decoder_layers"),
        vocab=_size(config, "vocab_size"),
        gated=str(config.get("feed_forward_proj", "relu")).startswith("gated"),
        tied=says_tied if tensor_names is None else _T5_HEAD not in tensor_names,
        relative_buckets=_size(config, "relative_attention_num_buckets", 32),
        relative_distance=_size(config, "relative_attention_max_distance", 128),
    )


def _bert_shape(config: Mapping[str, Any]) -> BackboneShape:
    d_model, heads = _size(config, "hidden_size"), _size(config, "num_attention_heads")
    if d_model % heads:
        raise BadInput(f"config key num_attention_heads: {heads} does not divide hidden_size {d_model}")
    return BackboneShape(
        family="bert",
        d_model=d_model,
        d_ff=_size(config, "intermediate_size"),
        heads=heads,
        d_kv=d_model // heads,
        layers=_size(config, "num_hidden_layers"),
        decoder_layers=0,
        vocab=_size(config, "vocab_size"),
        max_positions=_size(config, "max_position_embeddings"),
        type_vocab=_size(config, "type_vocab_size", 2),
        pad_token=int(config.get("pad_token_id") or 0),
    )


def _size(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadInput(f"config key {key}: expected a positive whole number, found {value!r}")
    return value
