"""What the operations share: where their values come from, and how to change a module's output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Values = Callable[[str, torch.dtype], Tensor]
"""(key of a tensor of the site, wanted dtype) -> the whole tensor."""


class Handle(Protocol):
    """Something that can be taken back."""

    def remove(self) -> None: ...


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
