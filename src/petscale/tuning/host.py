"""The interface of a model to the operations that install a plan in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from petscale.errors import BadInput
from petscale.families.shape import BackboneShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Host:
    """A backbone in memory.

    Attributes:
        model: the backbone, with a head if its family has one.
        shape: its shape.
    """

    model: nn.Module
    shape: BackboneShape

    def has(self, path: str) -> bool:
        """Whether the model has a module of that path."""
        return path in self._paths

    def require(self, path: str) -> None:
        """Check that the model has a module.

        Raises:
            BadInput: it has none of that path.
        """
        if not self.has(path):
            raise BadInput(f"plan: the model has no module {path}; the plan was made for another backbone")

    def module(self, path: str) -> nn.Module:
        """The module of that path, which must exist (`check` has tested that)."""
        return self.model.get_submodule(path)

    def parameter(self, path: str, name: str) -> nn.Parameter | None:
        """The parameter of that name of a module; None if it has none."""
        return self.module(path)._parameters.get(name)

    @cached_property
    def _paths(self) -> frozenset[str]:
        return frozenset(path for path, _ in self.model.named_modules())

    @cached_property
    def users(self) -> dict[int, list[tuple[nn.Module, str]]]:
        """For the id of each tensor, the modules that use it and its name in each; a tied tensor has several."""
        users: dict[int, list[tuple[nn.Module, str]]] = {}
        for module in self.model.modules():
            for name, tensor in module._parameters.items():
                if tensor is not None:
                    users.setdefault(id(tensor), []).append((module, name))
        return users
