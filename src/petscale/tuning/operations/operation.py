"""What install, merge, export, counts and the functional executor may ask of an operation, and all that they ask.

An operation is what a site does to its module: add to a weight, add to an output, stand beside a layer. No module
outside `petscale.tuning.operations` compares an operation's name; a test looks.

Plans ask for `acts`, `reach` and `deployed`, without torch, so an operation imports torch only inside the methods that
need it.
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
    """A site in a model: what `Delta` does with it. Hooks alone need no more than to be removed."""

    def __init__(self, handles: Sequence[Handle] = ()) -> None:
        self.handles = list(handles)

    def write(self) -> None:
        """Bring the model up to date with the masters after an optimizer step; hooks read the masters themselves."""

    def restore(self) -> None:
        """Give every tensor of the backbone that was written its old value, bit for bit."""

    def detach(self) -> None:
        """Take hooks away; what is written stays."""
        for handle in self.handles:
            handle.remove()


class Weights(Protocol):
    """Existing weights with their values under a delta, which the functional executor collects."""

    def add(self, weight: nn.Parameter, change: Tensor) -> None:
        """The weight's value under the delta is larger by `change`."""

    def replace(self, weight: nn.Parameter, value: Tensor) -> None:
        """The weight's value under the delta is `value`."""


class Operation(ABC):
    """One way in which a site changes its module.

    Attributes:
        name: what sites and saved plans call it.
    """

    name: ClassVar[str]

    # Counts. Pure. -----------------------------------------------------------------------------------------

    def acts(self, site: Site) -> bool:
        """Whether the site changes anything at all; one that does not is counted and saved but not attached."""
        return True

    def reach(self, site: Site, tensors: Mapping[str, Named], offered: Inventory) -> Reach | None:
        """Which entries of the backbone change once the site is folded; None where it cannot be folded.

        Args:
            site: of this operation.
            tensors: the trained tensors that it reads, by key.
            offered: what the backbone has.
        """
        return None

    def deployed(self, site: Site, tensors: Mapping[str, Named], offered: Inventory) -> Mapping[str, int]:
        """Scalars that must be kept beside the backbone at inference, by the name of what is kept."""
        if not self.acts(site) or self.reach(site, tensors, offered) is not None:
            return {}
        return parametrisation(site).deployed(tensors)

    # In a model --------------------------------------------------------------------------------------------

    def trains(self, host: Host, site: Site) -> nn.Parameter | None:
        """The backbone's own tensor that the site trains in place; None where it inserts something."""
        return None

    def check(self, host: Host, site: Site) -> None:
        """See that the model has what the site needs: its module, and what an operation looks for beside it.

        Raises:
            BadInput: it has not; the line names the module or the site.
        """
        if not host.has(site.module):
            raise BadInput(f"plan: the model has no module {site.module}; the plan was made for another backbone")

    @abstractmethod
    def attach(self, host: Host, site: Site, blocks: Mapping[str, Block]) -> Attachment:
        """Put the site into the model.

        Args:
            host: the model; its parameters are frozen.
            site: of this operation.
            blocks: the masters by key.
        """

    @abstractmethod
    def applied(self, host: Host, site: Site, values: Values, weights: Weights) -> list[Handle]:
        """Compute with the site without writing to the model: through `weights`, or by hooks, which are returned."""

    def refusal(self, host: Host, site: Site) -> str | None:
        """Why the site has no equal change of existing weights; None where `fold` makes it."""
        return f"{self.name} is no change of existing weights"

    def fold(self, host: Host, site: Site, values: Values) -> None:
        """Write the site's change into existing weights; it is still attached. Only where `refusal` gives none."""
        raise AssertionError(f"{self.name} cannot be folded")

    def export(self, plan: Plan, values: Mapping[str, Tensor]) -> PeftFiles | None:
        """A delta whose sites are all of this operation, in HF PEFT's format; None where PEFT has no such method.

        Args:
            plan: of the delta.
            values: as `Delta.state`.
        """
        return None


class Insertion(Operation):
    """An operation that works by hooks, the same ones whether the delta is installed or applied."""

    @abstractmethod
    def insert(self, host: Host, site: Site, values: Values) -> list[Handle]:
        """Register the hooks that change what the module computes; they read `values` when they are called."""

    def attach(self, host: Host, site: Site, blocks: Mapping[str, Block]) -> Attachment:
        def value(key: str, dtype: torch.dtype | None = None) -> Tensor:
            block = blocks[key]
            return block.whole(block.parameter.dtype if dtype is None else dtype)

        return Attachment(self.insert(host, site, value))

    def applied(self, host: Host, site: Site, values: Values, weights: Weights) -> list[Handle]:
        return self.insert(host, site, values)


def parametrisation(site: Site) -> Parametrisation:
    """How the parts of a site are made.

    Raises:
        BadInput: the site names a parametrisation that does not exist here.
    """
    return PARAMETRISATIONS[site.parametrisation]


def existing(host: Host, site: Site, name: str) -> nn.Parameter:
    """The parameter of the site's module that it folds into.

    Raises:
        BadInput: the module has none.
    """
    found = host.parameter(site.module, name)
    if found is None:
        raise BadInput(f"plan: {site.module} has no {name}")
    return found
