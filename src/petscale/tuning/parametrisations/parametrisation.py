"""The class `Parametrisation`: the interface through which operations use parametrisations.

A parametrisation makes the matrices (or vectors) of a site from its trained tensors. An operation requests a *part*:
`concat` has one matrix, the part "", and `plug` has the parts `down` and `up`. A matrix is ``(out, in)``, as in torch's
linear layers, whatever the shapes of its factors.

Plans use a parametrisation for counts without torch, so torch is imported only inside the methods that compute.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from petscale.tuning.reach import Entries
from petscale.tuning.site import Named

if TYPE_CHECKING:
    from torch import Tensor

    from petscale.tuning.operations.peft import PeftFiles
    from petscale.tuning.plan import Plan

Factors = Callable[[str], "Tensor"]
"""Function from the key of a trained tensor to the tensor in its full shape, zero outside its mask, in the dtype of the
computation."""


class Parametrisation(ABC):
    """One way to make a part of a site from trained tensors.

    Attributes:
        name: its name in sites and saved plans.
    """

    name: ClassVar[str]

    @abstractmethod
    def make(self, factors: Factors, part: str = "") -> Tensor:
        """The complete part, for a matrix ``(out, in)``; differentiable in the factors."""

    def apply(
        self, h: Tensor, factors: Factors, part: str = "", *, scale: float | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """Apply a matrix to an input and add a bias; subclasses override this to avoid forming the matrix.

        Args:
            h: input ``(..., in)``.
            factors: function that returns the trained tensors.
            part: which matrix of the site.
            scale: constant by which the matrix is multiplied; None for 1.
            bias: ``(out,)``.

        Returns:
            ``(..., out)``.
        """
        from torch.nn.functional import linear

        matrix = self.make(factors, part)
        return linear(h, matrix if scale is None else matrix * scale, bias)

    @abstractmethod
    def reach(self, tensors: Mapping[str, Named], part: str = "") -> Entries:
        """The entries of a part that can differ from zero, according to the masks.

        Args:
            tensors: trained tensors of the site by key.
            part: which part of the site.
        """

    @abstractmethod
    def rank(self, tensors: Mapping[str, Named], part: str = "") -> int | None:
        """An upper bound of the rank of a part, by the shapes and masks of its tensors; None if it is a vector.

        Without masks it is the rank at generic values of the tensors.

        Args:
            tensors: trained tensors of the site by key.
            part: which part of the site.
        """

    def deployed(self, tensors: Mapping[str, Named]) -> Mapping[str, int]:
        """Numbers of scalars that inference needs to make the parts, by the name of each tensor.

        These are all trained scalars, unless the parametrisation can be replaced after training by the part it makes.
        """
        return {named.key: named.tensor.count for named in tensors.values()}

    def branches_in_peft(self, plan: Plan, values: Mapping[str, Tensor], scale: float) -> PeftFiles | None:
        """Branches beside linear layers, all of them with this scale, in HF PEFT's format; None if it has none.

        Args:
            plan: plan of the delta; each of its sites is a branch, whose matrix is the part "".
            values: values of the delta, as from `Delta.state`.
            scale: constant by which every matrix is multiplied.
        """
        return None
