"""kronecker: a sum of n Kronecker products, sum_j A_j (x) B_j (Lialin et al. sections 9.3 and 10.4).

A is `left` ``(n, a1, a2)``. B is whole in the parametrisation `kronecker`, `right` ``(n, b1, b2)``. In
`kronecker-low-rank` it is the product of `right.up` ``(n, b1, k)`` and `right.down` ``(n, k, b2)``. The keys of a part
have its name and a dot in front. The matrix is ``(a1 b1, a2 b2)``.

The product is not formed to apply the matrix: an input x as X ``(a2, b2)`` becomes sum_j A_j X B_j^T.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt, prod
from typing import TYPE_CHECKING

import numpy as np

from petscale.tuning.parametrisations.parametrisation import Factors, Parametrisation
from petscale.tuning.reach import Entries
from petscale.tuning.site import Named

if TYPE_CHECKING:
    from torch import Tensor

    from petscale.tuning.operations.peft import PeftFiles
    from petscale.tuning.plan import Plan


def nearest_factors(size: int) -> tuple[int, int]:
    """The two factors of a number that are nearest to its root, the smaller one first."""
    small = next(factor for factor in range(isqrt(size), 0, -1) if size % factor == 0)
    return small, size // small


class Kronecker(Parametrisation):
    """Whole A and B."""

    name = "kronecker"

    def make(self, factors: Factors, part: str = "") -> Tensor:
        """The sum of Kronecker products of both factors, ``(out, in)``."""
        from torch import einsum

        left, right = factors(_key(part, "left")), self._right(factors, part)
        return einsum("nac,nbd->abcd", left, right).flatten(2).flatten(0, 1)

    def apply(
        self, h: Tensor, factors: Factors, part: str = "", *, scale: float | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """Multiply with the sum of Kronecker products, block by block and without forming it."""
        left = factors(_key(part, "left"))
        blocks = h.reshape(*h.shape[:-1], left.shape[2], -1)
        changed = self._apply(blocks, left if scale is None else left * scale, factors, part).flatten(-2)
        return changed if bias is None else changed + bias

    def _right(self, factors: Factors, part: str) -> Tensor:
        """All B_j as one tensor ``(n, b1, b2)``."""
        return factors(_key(part, "right"))

    def _apply(self, blocks: Tensor, left: Tensor, factors: Factors, part: str) -> Tensor:
        """sum_j A_j X B_j^T for X ``(..., a2, b2)``."""
        from torch.nn.functional import linear

        right = self._right(factors, part)
        inside = linear(blocks, right.flatten(0, 1))
        inside = inside.reshape(*inside.shape[:-1], *right.shape[:2])  # (..., a2, n, b1)
        return _contracted(left, inside)

    def reach(self, tensors: Mapping[str, Named], part: str = "") -> Entries:
        """Every entry of the matrix; the factors have no masks."""
        prefix = _key(part, "")
        shapes = {key.removeprefix(prefix): named.tensor.shape for key, named in tensors.items()}
        assert all(named.tensor.mask.structure == "dense" for named in tensors.values()), "factors have no masks"
        size = prod(shapes["left"][1:]) * _size_of_right(shapes)
        return Entries(size, lambda: np.arange(size))

    def rank(self, tensors: Mapping[str, Named], part: str = "") -> int:
        """The rank of A (x) B is that of A times that of B, and the n products add up."""
        prefix = _key(part, "")
        shapes = {key.removeprefix(prefix): named.tensor.shape for key, named in tensors.items()}
        n, a1, a2 = shapes["left"]
        rights = [shape for key, shape in shapes.items() if key.startswith("right")]
        of_product = min(a1, a2) * min(min(shape[1:]) for shape in rights)
        return min(n * of_product, *map(prod, _sides(shapes)))

    def branches_in_peft(self, plan: Plan, values: Mapping[str, Tensor], scale: float) -> PeftFiles | None:
        """The format of LoKr, for one product with the factors that PEFT chooses."""
        from petscale.tuning.operations.peft import PeftFiles

        rank = _rank_in_peft(plan)
        if rank is None:
            return None
        tensors = {}
        for site in plan.sites:
            prefix = f"base_model.model.{site.module}.lokr_"
            for tensor in site.tensors:
                tensors[prefix + _IN_PEFT[tensor.key]] = values[site.key(tensor)].reshape(tensor.shape)[0]
        config = {
            "peft_type": "LOKR",
            "r": rank,
            "alpha": scale * rank,
            "decompose_both": False,
            "decompose_factor": -1,
            "target_modules": [site.module for site in plan.sites],
        }
        return PeftFiles(config, tensors)


class KroneckerLowRank(Kronecker):
    """A whole A, and a B of rank k."""

    name = "kronecker-low-rank"

    def _right(self, factors: Factors, part: str) -> Tensor:
        return factors(_key(part, "right.up")) @ factors(_key(part, "right.down"))

    def _apply(self, blocks: Tensor, left: Tensor, factors: Factors, part: str) -> Tensor:
        """The factors of B are used one after the other, the second for all products at once."""
        from torch import einsum
        from torch.nn.functional import linear

        down, up = factors(_key(part, "right.down")), factors(_key(part, "right.up"))
        inside = linear(blocks, down.flatten(0, 1))
        inside = inside.reshape(*inside.shape[:-1], *down.shape[:2])  # (..., a2, n, k)
        mixed = einsum("nac,...cnk->...ank", left, inside)
        return linear(mixed.flatten(-2), up.transpose(0, 1).flatten(1))


_IN_PEFT = {"left": "w1", "right": "w2", "right.up": "w2_a", "right.down": "w2_b"}


def _key(part: str, key: str) -> str:
    return f"{part}.{key}" if part else key


def _contracted(left: Tensor, inside: Tensor) -> Tensor:
    """sum_j A_j Z_j for A ``(n, a1, a2)`` and Z ``(..., a2, n, b1)``; one product is a plain matrix product."""
    from torch import einsum

    if left.shape[0] == 1:
        return left[0] @ inside.squeeze(-2)
    return einsum("nac,...cnb->...ab", left, inside)


def _size_of_right(shapes: Mapping[str, tuple[int, ...]]) -> int:
    if "right" in shapes:
        return prod(shapes["right"][1:])
    return shapes["right.up"][1] * shapes["right.down"][2]


def _rank_in_peft(plan: Plan) -> int | None:
    """The r for which PEFT gives every layer the factors that its site has; None if there is none.

    PEFT splits both widths into their nearest factors. It gives B the rank r where r is less than half of B's longer
    side, and else takes it whole.
    """
    low, sides = set(), [1]
    for site in plan.sites:
        shapes = {tensor.key: tensor.shape for tensor in site.tensors}
        if not shapes.keys() <= _IN_PEFT.keys() or any(shape[0] != 1 for shape in shapes.values()):
            return None
        rows, columns = _sides(shapes)
        if any(nearest_factors(left * right) != (left, right) for left, right in (rows, columns)):
            return None
        if "right" in shapes:
            sides.append(max(rows[1], columns[1]))
        else:
            low.add((shapes["right.down"][1], max(rows[1], columns[1])))
    ranks = {rank for rank, _ in low} or {max(sides)}
    if len(ranks) != 1:
        return None
    (rank,) = ranks
    fits = all(rank < side / 2 for _, side in low) and all(rank >= side / 2 for side in sides)
    return rank if fits else None


def _sides(shapes: Mapping[str, tuple[int, ...]]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The two factors of the number of rows, and those of the number of columns; A's first."""
    (_, a1, a2) = shapes["left"]
    if "right" in shapes:
        return (a1, shapes["right"][1]), (a2, shapes["right"][2])
    return (a1, shapes["right.up"][1]), (a2, shapes["right.down"][2])
