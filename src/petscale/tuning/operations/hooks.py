"""Code that operations share: access to their trained values, and a hook that changes a module's output."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from petscale.tuning.parametrisations.parametrisation import Factors

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Values(Protocol):
    """Access to the current trained tensors of a site.

    In an installed delta they are its masters; in the functional executor they are the tensors that it was given.
    """

    def __call__(self, key: str, dtype: torch.dtype | None = None) -> Tensor:
        """The tensor of that key in its full shape, zero outside its mask; without `dtype`, in its stored dtype."""
        ...


class Handle(Protocol):
    """A change that can be undone."""

    def remove(self) -> None: ...


def in_dtype(values: Values, dtype: torch.dtype) -> Factors:
    """The values in one dtype, in the form that a parametrisation takes."""
    return partial(values, dtype=dtype)


def on_output(module: nn.Module, change: Callable[[Tensor, Tensor], Tensor]) -> list[Handle]:
    """Replace a module's output h by change(input, h); if the output is a tuple, replace its first member.

    Args:
        change: function of the module's first positional input and its output, both ``(batch, length, width)``.
    """

    def hook(_module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if isinstance(output, tuple):
            return (change(args[0], output[0]), *output[1:])
        return change(args[0], output)

    return [module.register_forward_hook(hook)]
