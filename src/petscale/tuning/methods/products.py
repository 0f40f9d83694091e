"""Branches beside linear layers whose matrix is one Kronecker product, for KronA and LoKr."""

from __future__ import annotations

from petscale.families.parts import Place
from petscale.tuning.methods.tensors import dense
from petscale.tuning.parametrisations.kronecker import nearest_factors
from petscale.tuning.site import Site


def product(place: Place, scale: float, rank: int | None = None) -> Site:
    """A branch A (x) B, with the starts of HF PEFT: A is zero, B uniform within 1 / sqrt(its inputs).

    Args:
        place: a place of kind `branch`.
        scale: constant by which the branch is multiplied.
        rank: rank of B where that is less than half of B's longer side; None for a whole B everywhere.
    """
    (a1, b1), (a2, b2) = nearest_factors(place.width_out), nearest_factors(place.width_in)
    left = dense("left", (1, a1, a2), "zeros", dead=place.dead)
    if rank is None or rank >= max(b1, b2) / 2:
        parametrisation = "kronecker"
        right = [dense("right", (1, b1, b2), "uniform", dead=place.dead, bound=b2**-0.5)]
    else:
        parametrisation = "kronecker-low-rank"
        right = [
            dense("right.down", (1, rank, b2), "uniform", dead=place.dead, bound=b2**-0.5),
            dense("right.up", (1, b1, rank), "uniform", dead=place.dead, bound=rank**-0.5),
        ]
    name = f"concat:{place.module}"
    return Site(name, place.module, "concat", parametrisation, place.role, (left, *right), {"scale": scale})
