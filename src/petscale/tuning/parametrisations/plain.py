"""plain: the part itself is trained, without factors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from petscale.tuning.parametrisations.parametrisation import Factors, Parametrisation
from petscale.tuning.reach import Entries
from petscale.tuning.site import Named

if TYPE_CHECKING:
    from torch import Tensor


class Plain(Parametrisation):
    """A part is the trained tensor of the same key, zero outside its mask."""

    name = "plain"

    def make(self, factors: Factors, part: str = "") -> Tensor:
        """The trained tensor itself."""
        return factors(part)

    def reach(self, tensors: Mapping[str, Named], part: str = "") -> Entries:
        """The entries of its mask."""
        named = tensors[part]
        return Entries(named.tensor.count, named.indices)

    def rank(self, tensors: Mapping[str, Named], part: str = "") -> int | None:
        """The bound of the mask."""
        key, tensor = tensors[part]
        return tensor.mask.rank(tensor.shape, key) if len(tensor.shape) == 2 else None
