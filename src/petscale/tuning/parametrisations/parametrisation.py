"""What the operations may ask of a parametrisation.

A parametrisation makes the matrices (or vectors) of a site from the tensors that are trained there. An operation asks
for a *part*: `concat` has one matrix, the part "", `plug` has the parts `down` and `up`. A matrix is ``(out, in)``, as
torch's linear layers store theirs, whatever the shapes of its factors.

Plans ask a parametrisation for counts, without torch, so torch is imported only inside the methods that compute.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from petscale.tuning.reach import Entries
from petscale.tuning.site import Named

if TYPE_CHECKING:
    from torch import Tensor

Factors = Callable[[str], "Tensor"]
"""Key of a trained tensor of the site -> the whole tensor, zero outside its mask, in the dtype that is computed in."""


class Parametrisation(ABC):
    """One way to make a part of a site from trained tensors.

    Attributes:
        name: what sites and saved plans call it.
    """

    name: ClassVar[str]

    @abstractmethod
    def make(self, factors: Factors, part: str = "") -> Tensor:
        """The whole part; a matrix as ``(out, in)``. Differentiable in the factors."""

    def apply(
        self, h: Tensor, factors: Factors, part: str = "", *, scale: float | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """A matrix applied to an input, and a bias added; overridden where the whole matrix need not be formed.

        Args:
            h: ``(..., in)``.
            factors: gives the trained tensors.
            part: which matrix of the site.
            scale: constant that the matrix is multiplied by; None for 1.
            bias: ``(out,)``.

        Returns:
            ``(..., out)``.
        """
        from torch.nn.functional import linear

        matrix = self.make(factors, part)
        return linear(h, matrix if scale is None else matrix * scale, bias)

    @abstractmethod
    def reach(self, tensors: Mapping[str, Named], part: str = "") -> Entries:
        """Which entries of the whole part can differ from zero, from the masks alone.

        Args:
            tensors: trained tensors of the site by key.
            part: which part of the site.
        """

    def deployed(self, tensors: Mapping[str, Named]) -> Mapping[str, int]:
        """Scalars that must be kept to make the parts at inference, by the name of what is kept.

        All that is trained, unless the parametrisation can be replaced by what it makes once training is over.
        """
        return {named.key: named.tensor.count for named in tensors.values()}
