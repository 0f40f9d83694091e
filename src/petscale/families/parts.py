"""The parts of a backbone, each with a role: its weights, and the places where a method can insert something.

Methods, shares and counts refer to parts by their role; all families use the same roles:

    self.q self.k self.v self.o     self-attention projections
    cross.q cross.k cross.v cross.o cross-attention projections (decoders)
    ffn.gate ffn.up ffn.down        feed-forward matrices; `gate` is the one under the activation of a gated network
    norm                            scales of the normalisations
    relative                        relative-position tables
    vocabulary position segment     embedding matrices (`vocabulary` includes an untied output head)
    pooler                          BERT's pooler
    <role>.bias                     the bias of any of these, whether the backbone has one or it can be inserted
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

Stack = Literal["encoder", "decoder", ""]
Ranges = tuple[tuple[int, int], ...]  # half-open intervals of flat (row-major) positions, ascending, disjoint


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor that the backbone has.

    Attributes:
        module: path of the module that owns it, as transformers names it.
        tensor: its name in that module, "weight" or "bias".
        role: see the module docstring.
        shape: its shape as stored; matrices are (out, in).
        stack: encoder, decoder, or "" if both share it.
        dead: flat positions whose derivative is zero for any values of the other weights.
        layer: number of the block within its stack; None outside of blocks (embeddings, pooler, last norm, head).
    """

    module: str
    tensor: str
    role: str
    shape: tuple[int, ...]
    stack: Stack
    dead: Ranges = ()
    layer: int | None = None

    @property
    def name(self) -> str:
        """The path of the tensor in the model, such as `encoder.block.0.layer.0.SelfAttention.q.weight`."""
        return f"{self.module}.{self.tensor}"

    @property
    def size(self) -> int:
        """The number of entries of the tensor, dead ones included."""
        return prod(self.shape)


PlaceKind = Literal["bias", "table", "branch", "stream", "sublayer", "parallel", "attention", "input"]


@dataclass(frozen=True, slots=True)
class Place:
    """A place where the backbone has no parameters and a method can insert some.

    Attributes:
        module: path of the module whose output (or, for `input`, whose input) is changed.
        kind: `bias`, on the output of a layer that has no bias; `table`, a relative-position table that the original T5
            does not have; `branch`, beside a linear layer; `stream`, on the residual stream after a sub-layer;
            `sublayer`, on a sub-layer's output before the residual sum; `parallel`, beside a whole sub-layer, whose
            input is read; `attention`, among the keys and values of an attention; `input`, in the input sequence.
        role: see the module docstring; for kinds from `stream` on, the sub-layer: self, cross, ffn, input.
        width_in: width of the input that is read, 0 if none is read.
        width_out: width of the output that is changed.
        dead: whether nothing that is inserted here can change the output of the model.
        reads: for `parallel`, path of the module whose input is the sub-layer's.
    """

    module: str
    kind: PlaceKind
    role: str
    width_in: int
    width_out: int
    stack: Stack
    dead: bool = False
    reads: str = ""
