"""The class `Operation`: the complete interface for install, merge, export, counts and the functional executor.

An operation is the way in which a site changes its module: it adds to a weight or to an output, or puts a branch beside
a layer. No module outside `petscale.tuning.operations` compares the name of an operation, which a test checks.

Plans use `acts`, `reach` and `deployed` without torch, so an operation imports torch only inside the methods that need
it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from petscale.errors import BadInput
from petscale.tuning.host import Host
from petscale.tuning.inventory import Inventory
from petscale.tuning.operations.hooks import Handle, Values
from petscale.tuning.parametrisations.parametrisation import Parametrisation
from petscale.tuning.parametrisations.registry import PARAMETRISATIONS
from petscale.tuning.reach import Reach
from petscale.tuning.site import Named, Site

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from petscale.tuning.block import Block
    from petscale.tuning.operations.peft import PeftFiles
    from petscale.tuning.plan import Plan


class Attachment:
    """A site that is installed in a model, as `Delta` uses it. Sites that only have hooks just need to be removed."""

    def __init__(self, handles: Sequence[Handle] = ()) -> None:
        self.handles = list(handles)

    def write(self) -> None:
        """Write the masters into the model after an optimizer step; hooks do nothing here, as they read the masters."""

    def restore(self) -> None:
        """Restore every tensor of the backbone that was changed, bit for bit."""

    def detach(self) -> None:
        """Remove hooks; changed weights keep their values."""
        for handle in self.handles:
            handle.remove()


class Weights(Protocol):
    """Collects, for the functional executor, weights of the backbone with their values under a delta."""

    def add(self, weight: nn.Parameter, change: Tensor) -> None:
        """Add `change` to the weight's value under the delta."""

    def replace(self, weight: nn.Parameter, value: Tensor) -> None:
        """Set the weight's value under the delta to `value`."""


class Operation(ABC):
    """One way in which a site changes its module.

    Attributes:
        name: its name in sites and saved plans.
    """

    name: ClassVar[str]

    # Counts. Pure. -----------------------------------------------------------------------------------------

    def acts(self, site: Site) -> bool:
        """Whether the site changes anything at all; if not, it is counted and saved, but not attached."""
        return True

    def reach(self, site: Site, tensors: Mapping[str, Named], offered: Inventory) -> tuple[Reach, ...]:
        """The entries of the backbone that change when the site is merged; none if it cannot be merged.

        Args:
            site: a site with this operation.
            tensors: the trained tensors that it reads, by key.
            offered: the inventory of the backbone.
        """
        return ()

    def deployed(self, site: Site, tensors: Mapping[str, Named], offered: Inventory) -> Mapping[str, int]:
        """Numbers of scalars that inference needs in addition to the backbone, by the name of each tensor."""
        if not self.acts(site) or self.reach(site, tensors, offered):
            return {}
        return parametrisation(site).deployed(tensors)

    def soft_tokens(self, site: Site) -> int:
        """Number of vectors by which the site makes the input sequence longer."""
        return 0

    def adds_keys(self, site: Site) -> bool:
        """Whether the site's module is an attention to whose keys it adds some that do not come from the sequence."""
        return False

    # In a model --------------------------------------------------------------------------------------------

    def trains(self, host: Host, site: Site) -> nn.Parameter | None:
        """The tensor of the backbone that the site trains in place; None if it inserts something."""
        return None

    def check(self, host: Host, site: Site) -> None:
        """Check that the model has the site's module and whatever else the operation needs.

        Raises:
            BadInput: something is missing; the message names the module or the site.
        """
        host.require(site.module)

    @abstractmethod
    def attach(self, host: Host, site: Site, blocks: Mapping[str, Block]) -> Attachment:
        """Install the site in the model.

        Args:
            host: the model; its parameters are frozen.
            site: a site with this operation.
            blocks: the masters by key.
        """

    @abstractmethod
    def applied(self, host: Host, site: Site, values: Values, weights: Weights) -> list[Handle]:
        """Make the model compute with the site without changing it, through `weights` or by the returned hooks."""

    def refusal(self, host: Host, site: Site) -> str | None:
        """The reason why the site cannot be merged into weights of the backbone; None if `fold` can do it."""
        return f"{self.name} is no change of existing weights"

    def fold(self, host: Host, site: Site, values: Values) -> None:
        """Write the change of an attached site into weights of the backbone; allowed only if `refusal` returns None."""
        raise AssertionError(f"{self.name} cannot be folded")

    def export(self, plan: Plan, values: Mapping[str, Tensor]) -> PeftFiles | None:
        """A delta whose sites all have this operation, in HF PEFT's format; None if PEFT has no such method.

        Args:
            plan: plan of the delta.
            values: values of the delta, as from `Delta.state`.
        """
        return None


class Insertion(Operation):
    """An operation that works by hooks, which are the same in an installed delta and in the functional executor."""

    @abstractmethod
    def insert(self, host: Host, site: Site, values: Values) -> list[Handle]:
        """Register hooks that change the output of the module; they read `values` when they are called."""

    def attach(self, host: Host, site: Site, blocks: Mapping[str, Block]) -> Attachment:
        """Register the hooks of `insert`, which read the masters in the dtype of the computation."""

        def value(key: str, dtype: torch.dtype | None = None) -> Tensor:
            block = blocks[key]
            return block.whole(block.parameter.dtype if dtype is None else dtype)

        return Attachment(self.insert(host, site, value))

    def applied(self, host: Host, site: Site, values: Values, weights: Weights) -> list[Handle]:
        """Register the hooks of `insert` with the given values; no weight of the backbone changes."""
        return self.insert(host, site, values)


def parametrisation(site: Site) -> Parametrisation:
    """The parametrisation of a site.

    Raises:
        BadInput: the site names an unknown parametrisation.
    """
    return PARAMETRISATIONS[site.parametrisation]


def existing(host: Host, site: Site, name: str) -> nn.Parameter:
    """The parameter of the site's module into which the site is merged.

    Raises:
        BadInput: the module has no such parameter.
    """
    found = host.parameter(site.module, name)
    if found is None:
        raise BadInput(f"plan: {site.module} has no {name}")
    return found
