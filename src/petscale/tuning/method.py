"""The class of a method: its name, reference and options, and a function from an inventory to sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from petscale.tuning.inventory import Inventory
from petscale.tuning.options import LATER, Names, Options, Positive, Whole
from petscale.tuning.site import Site, Trained

__all__ = ["LATER", "Build", "Method", "Names", "Options", "OptionsT", "Positive", "Request", "Whole"]

OptionsT = TypeVar("OptionsT", bound=Options)


@dataclass(frozen=True)
class Request(Generic[OptionsT]):
    """The arguments of a method in addition to the backbone.

    Attributes:
        method: name of the method, for messages.
        budget: exact number of trained scalars; None for methods that take no budget.
        mask_seed: seed of the masks, which is independent of the training seed.
        options: the method's options, checked and with defaults filled in.
    """

    method: str
    budget: int | None
    mask_seed: int
    options: OptionsT


Build = Callable[[Inventory, Request[Any]], Iterable[Site | Trained]]


@dataclass(frozen=True)
class Method(Generic[OptionsT]):
    """One entry of the registry.

    Attributes:
        name: its name in studies, paths and tags.
        version: to be raised by hand when numbers may change; the cells of the method then rerun.
        reference: who published it, and where its settings come from.
        operations: the operations of its sites.
        formula: the change that it makes, in the paper's notation.
        structure: how the trained entries are placed in their tensors: dense, adjacent or discrete; none for `frozen`.
        identity_at_start: whether a new delta leaves the backbone's function unchanged.
        learning_rate_key: methods with equal keys share a learning rate in a recipe.
        build: the function that makes the sites, and the tensors that several of them share (`Plan.shared`).
        options: the class of its options.
        takes_budget: whether the user gives the number of trained scalars.
        holds: for such methods, the most scalars that they can train on a backbone.
    """

    name: str
    version: int
    reference: str
    operations: tuple[str, ...]
    formula: str
    structure: str
    identity_at_start: bool
    learning_rate_key: str
    build: Callable[[Inventory, Request[OptionsT]], Iterable[Site | Trained]]
    options: type[OptionsT] = Options  # type: ignore[assignment]  # a method without options
    takes_budget: bool = False
    holds: Callable[[Inventory, Request[OptionsT]], int] | None = None
