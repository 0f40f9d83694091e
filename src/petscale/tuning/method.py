"""What a method is: a name, where it comes from, and a pure function from an inventory to sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from petscale.errors import BadInput
from petscale.tuning.inventory import Inventory
from petscale.tuning.site import Site


@dataclass(frozen=True)
class Request:
    """What is asked of a method beside the backbone.

    Attributes:
        method: its name, for messages.
        budget: exact number of trained scalars; None for methods with a count of their own.
        mask_seed: seed of the masks, apart from the training seed.
        options: the method's options, defaults included.
    """

    method: str
    budget: int | None
    mask_seed: int
    options: Mapping[str, Any]

    def whole(self, option: str) -> int:
        """An option that must be a positive whole number.

        Raises:
            BadInput: it is not.
        """
        value = self.options[option]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise BadInput(f"{self.method}: option {option}: expected a positive whole number, found {value!r}")
        return value

    def number(self, option: str) -> float:
        """An option that must be a positive, finite number.

        Raises:
            BadInput: it is not.
        """
        value = float(self.options[option])
        if not 0 < value < float("inf"):
            raise BadInput(f"{self.method}: option {option}: expected a positive number, found {value!r}")
        return value


def check_kind(method: str, option: str, default: Any, value: Any) -> Any:
    """`value`, if it is of the kind of the option's default; methods then check what it says.

    Raises:
        BadInput: it is of another kind.
    """
    names = isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)
    if isinstance(default, str):
        wanted, fits = "a word", isinstance(value, str)
    elif isinstance(default, (int, float)):
        wanted, fits = "a number", isinstance(value, (int, float)) and not isinstance(value, bool)
    elif isinstance(default, Mapping):
        wanted, fits = "a mapping", isinstance(value, Mapping)
    elif default is None:
        wanted, fits = "a list of names", names or value is None
    else:
        wanted, fits = "a list of names", names or isinstance(value, Mapping)
    if not fits:
        raise BadInput(f"{method}: option {option}: expected {wanted}, found {value!r}")
    return value


Build = Callable[[Inventory, Request], Iterable[Site]]


@dataclass(frozen=True)
class Method:
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
        options: names and defaults of its options.
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
    build: Build
    options: Mapping[str, Any] = field(default_factory=dict)
    takes_budget: bool = False
