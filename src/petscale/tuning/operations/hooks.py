"""Code that operations share: access to their trained values, and hooks that change what a module reads or returns."""

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

    def remove(self) -> None:
        """Undo what was registered."""


def in_dtype(values: Values, dtype: torch.dtype) -> Factors:
    """The values in one dtype, in the form that a parametrisation takes."""
    return partial(values, dtype=dtype)


def on_output(
    module: nn.Module, change: Callable[[Tensor, Tensor], Tensor], *, reads: nn.Module | None = None
) -> list[Handle]:
    """Replace a module's output by change(h, output); if the output is a tuple, replace its first member.

    Args:
        module: the module whose output is replaced.
        change: function of h and the output, both ``(batch, length, width)``.
        reads: module whose first positional input is h; it runs before `module` ends. None for `module` itself.
    """
    if reads is None or reads is module:
        return [module.register_forward_hook(lambda _module, args, output: _first(output, partial(change, args[0])))]
    seen: list[Tensor] = []  # one state at most; if a pass was interrupted, the next one replaces it

    def look(_module: nn.Module, args: tuple[Any, ...]) -> None:
        seen[:] = [args[0]]

    return [
        reads.register_forward_pre_hook(look),
        module.register_forward_hook(lambda _module, _args, output: _first(output, partial(change, seen.pop()))),
    ]


def on_input(module: nn.Module, change: Callable[[Tensor], Tensor]) -> list[Handle]:
    """Replace a module's first positional input h by change(h)."""
    return [module.register_forward_pre_hook(lambda _module, args: (change(args[0]), *args[1:]))]


def _first(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(output, tuple):
        return (change(output[0]), *output[1:])
    return change(output)
