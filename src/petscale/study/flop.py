"""The formula of the cost model for the work of training; measurements of efficiency print it beside their count."""

from __future__ import annotations

from petscale.families.registry import family_of
from petscale.families.shape import BackboneShape
from petscale.study.cell import Cell


def training_flop(cell: Cell, shape: BackboneShape, tokens: float) -> float:
    """FLOP of training on a number of tokens.

    A forward pass takes 2 FLOP per parameter and token, the backward pass of activations 2 more, and in full
    fine-tuning that of weights another 2 (Kaplan et al. 2020, section 2.1); looking up embeddings costs no FLOP.
    """
    return (6 if cell.method == "full" else 4) * family_of(shape).matrix_parameters(shape) * tokens
