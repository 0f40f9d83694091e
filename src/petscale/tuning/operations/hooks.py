"""What the operations share: where their values come from, and how to change a module's output."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from petscale.tuning.parametrisations.parametrisation import Factors

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Values(Protocol):
    """The trained tensors of a site at the moment of the call.

    The installed delta reads its masters, the functional executor the tensors it was given.
    """

    def __call__(self, key: str, dtype: torch.dtype | None = None) -> Tensor:
        """The whole tensor of that key, zero outside its mask, in the wanted dtype; None for the one it is kept in."""
        ...


class Handle(Protocol):
    """Something that can be taken back."""

    def remove(self) -> None: ...


def in_dtype(values: Values, dtype: torch.dtype) -> Factors:
    """The values in one dtype, as a parametrisation takes them."""
    return partial(values, dtype=dtype)


def on_output(module: nn.Module, change: Callable[[Tensor, Tensor], Tensor]) -> list[Handle]:
    """Replace a module's output h by change(input, h); of a tuple, the first member.

    Args:
        change: gets the module's first positional input and its output, both ``(batch, length, width)``.
    """

    def hook(_module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if isinstance(output, tuple):
            return (change(args[0], output[0]), *output[1:])
        return change(args[0], output)

    return [module.register_forward_hook(hook)]
