"""One file a family: where each weight and each place stands, under the names that transformers gives its modules."""

from __future__ import annotations

from petscale.families.bert import parts as bert
from petscale.families.parts import Place, Weight
from petscale.families.shape import BackboneShape
from petscale.families.t5 import parts as t5


def weights(shape: BackboneShape, target_length: int | None) -> tuple[Weight, ...]:
    """Every tensor of the backbone once; a classification head is no part of it."""
    return t5.weights(shape, target_length) if shape.family == "t5" else bert.weights(shape)


def places(shape: BackboneShape, target_length: int | None) -> tuple[Place, ...]:
    """Every place where a method can insert something."""
    return t5.places(shape, target_length) if shape.family == "t5" else bert.places(shape)
