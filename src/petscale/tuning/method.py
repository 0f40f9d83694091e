"""What a method is: a name, where it comes from, its options, and a pure function from an inventory to sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from petscale.tuning.inventory import Inventory
from petscale.tuning.options import Names, Options, Positive, Whole
from petscale.tuning.site import Site

__all__ = ["Build", "Method", "Names", "Options", "OptionsT", "Positive", "Request", "Whole"]

OptionsT = TypeVar("OptionsT", bound=Options)


@dataclass(frozen=True)
class Request(Generic[OptionsT]):
    """What is asked of a method beside the backbone.

    Attributes:
        method: its name, for messages.
        budget: exact number of trained scalars; None for methods with a count of their own.
        mask_seed: seed of the masks, apart from the training seed.
        options: the method's options, checked and with defaults in place.
    """

    method: str
    budget: int | None
    mask_seed: int
    options: OptionsT


Build = Callable[[Inventory, Request[Any]], Iterable[Site]]


@dataclass(frozen=True)
class Method(Generic[OptionsT]):
    """One entry of the registry.

    Attributes:
        name: what studies, paths and tags call it.
        version: raise by hand when numbers may change; cells of the method rerun.
        reference: who published it, and where its settings come from.
        operations: what its sites do.
        formula: the change it makes, in the paper's notation.
        structure: how the trained entries lie in their tensors: dense, adjacent, discrete; none for `frozen`.
        identity_at_start: a fresh delta leaves the backbone's function unchanged.
        learning_rate_key: methods with equal keys share a learning rate in a recipe.
        build: the method itself.
        options: the class of its options.
        takes_budget: the count is asked for, not given by the method.
    """

    name: str
    version: int
    reference: str
    operations: tuple[str, ...]
    formula: str
    structure: str
    identity_at_start: bool
    learning_rate_key: str
    build: Callable[[Inventory, Request[OptionsT]], Iterable[Site]]
    options: type[OptionsT] = Options  # type: ignore[assignment]  # a method without options
    takes_budget: bool = False
