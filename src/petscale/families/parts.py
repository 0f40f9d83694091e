"""What a backbone is made of, by role: its weights, and the places where something can be inserted (design 3.1).

Roles are the vocabulary that methods, shares and counts use; both families share it:

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
        tensor: its name there, "weight" or "bias".
        role: see the module docstring.
        shape: as stored; matrices are (out, in).
        stack: encoder, decoder, or "" for what both share.
        dead: flat positions whose derivative is zero whatever the other weights are.
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
        return f"{self.module}.{self.tensor}"

    @property
    def size(self) -> int:
        return prod(self.shape)


PlaceKind = Literal["bias", "table", "branch", "stream", "sublayer", "input"]


@dataclass(frozen=True, slots=True)
class Place:
    """A place where the backbone has nothing yet and a method can insert something.

    Attributes:
        module: path of the module whose output (or, for `input`, whose input) is changed.
        kind: `bias`, on the output of a layer that has no bias; `table`, a relative-position table that stock T5
            does not have; `branch`, beside a linear layer; `stream`, on the residual stream after a sub-layer;
            `sublayer`, on a sub-layer's output before the residual sum; `input`, in front of the input sequence.
        role: see the module docstring; for `stream`, `sublayer` and `input` the sub-layer: self, cross, ffn, input.
        width_in: width that enters, 0 where nothing is read.
        width_out: width of what is changed.
        dead: nothing inserted here can act.
    """

    module: str
    kind: PlaceKind
    role: str
    width_in: int
    width_out: int
    stack: Stack
    dead: bool = False
