"""generated: the rows of a matrix come from a small network over codes (Li and Liang 2021).

A part is tanh(C W_1^T + b_1) W_2^T + b_2. The codes C, `codes` ``(rows, width)``, and the first layer, `first`
``(middle, width)`` with `first.bias`, are usually shared by several sites. The second layer belongs to the part:
`PART.second` ``(out, middle)`` with `PART.second.bias`. After training, a part can be replaced by its value.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from petscale.tuning.parametrisations.parametrisation import Factors, Parametrisation
from petscale.tuning.reach import Entries
from petscale.tuning.site import Named

if TYPE_CHECKING:
    from torch import Tensor

_NETWORK = ("codes", "first", "first.bias")
_SECOND, _BIAS = ".second", ".second.bias"


class Generated(Parametrisation):
    """The network is computed anew in each forward pass: it is small against the model."""

    name = "generated"

    def make(self, factors: Factors, part: str = "") -> Tensor:
        """The part ``(vectors, width)`` from its codes, through a hidden layer with tanh."""
        from torch.nn.functional import linear

        inside = linear(factors("codes"), factors("first"), factors("first.bias")).tanh()
        return linear(inside, factors(part + _SECOND), factors(part + _BIAS))

    def reach(self, tensors: Mapping[str, Named], part: str = "") -> Entries:
        """Every entry: the network can change all of them."""
        size = self._size(tensors, part + _SECOND)
        return Entries(size, lambda: np.arange(size))

    def rank(self, tensors: Mapping[str, Named], part: str = "") -> int:
        """At most one for each unit of the middle layer, and one for the bias."""
        out, middle = tensors[part + _SECOND].tensor.shape
        return min(tensors["codes"].tensor.shape[0], out, middle + 1)

    def deployed(self, tensors: Mapping[str, Named]) -> Mapping[str, int]:
        """The values of the parts, and tensors that the operation reads besides, such as a gate."""
        kept = {named.key: named.tensor.count for key, named in tensors.items() if not _generates(key)}
        parts = {named.key: self._size(tensors, key) for key, named in tensors.items() if key.endswith(_SECOND)}
        return kept | parts

    def _size(self, tensors: Mapping[str, Named], second: str) -> int:
        return prod((tensors["codes"].tensor.shape[0], tensors[second].tensor.shape[0]))


def _generates(key: str) -> bool:
    return key in _NETWORK or key.endswith((_SECOND, _BIAS))
