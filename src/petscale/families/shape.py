"""The shape of a backbone: all numbers that counts and plans need, read from a config without loading weights.

The plan of a method depends only on the shape: two backbones with equal shapes have equal plans.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from petscale.artefacts.growth import incoming, outgoing


@dataclass(frozen=True, slots=True)
class BackboneShape:
    """Dimensions of a backbone.

    Attributes:
        family: which module layout the backbone has; a name in `petscale.families.registry`.
        d_model: width of the hidden states, d in the papers.
        d_ff: width inside the feed-forward network.
        heads: attention heads; `inner` = heads * d_kv is the width of q, k and v.
        d_kv: width of one head.
        layers: blocks of the encoder.
        decoder_layers: blocks of the decoder; 0 for an encoder.
        vocab: rows of the vocabulary matrices, including padding rows.
        gated: whether the feed-forward network has two input matrices (T5 v1.1).
        tied: whether one matrix is both input embedding and output head (T5 v1.0).
        relative_buckets: rows of a relative-position table (T5); 0 for absolute positions.
        relative_distance: from this distance on, all positions share the last bucket (T5).
        max_positions: rows of the absolute position table (BERT); 0 for relative positions.
        type_vocab: rows of the segment table (BERT).
        pad_token: the row of the vocabulary matrix whose gradient is always zero (BERT).
    """

    family: str
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

    def to_json(self) -> dict[str, Any]:
        """The shape as plain data, for manifests."""
        return outgoing(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> BackboneShape:
        """The inverse of `to_json`; a field that came after the first format may be missing (docs/mechanism.md).

        Raises:
            BadInput: a field of the first format is missing, or a field is unknown.
        """
        return incoming(cls, document, "backbone shape")
