"""The installed form of the operation `add`: the weight in the model (the live weight) is changed in place.

After every optimizer step the live weight is set to W[m] = W0[m] + delta. This value is assigned from the float32
masters and never accumulated, because in bfloat16 a step of 5e-5 would be rounded away. So the forward pass is the
unchanged matrix product of the backbone, no copy of the weight is kept for backward, only the gradient at the mask's
entries is computed, and removing the delta restores W0 bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from petscale.tuning.block import Block
from petscale.tuning.operations.hooks import Handle
from petscale.tuning.operations.operation import Attachment
from petscale.tuning.sampling import Sampler, sampler


class LiveWeight(Attachment):
    """A weight of the backbone, and the block that trains entries of it.

    Attributes:
        weight: the weight in the model, in the backbone's precision.
        origin: W0 at the mask's entries, in mask order; if the mask is dense, all of W0 in host memory.
    """

    def __init__(self, weight: nn.Parameter, block: Block, users: Iterable[tuple[nn.Module, str]]) -> None:
        """Watch the modules that compute with a weight, and keep its original values.

        Args:
            weight: the weight in the model.
            block: its master.
            users: modules that compute with the weight, each with its name there; a tied tensor has several.
        """
        self.weight, self.block = weight, block
        self.origin = _origin(weight, block)
        self._trains_itself = block.parameter is weight
        attached = (self._attach(module, tensor) for module, tensor in users)
        super().__init__([handle for handle in attached if handle is not None])

    def write(self) -> None:
        """Assign the masters' values to the live weight, with a single rounding."""
        if self._trains_itself:
            return
        with torch.no_grad():
            if self.block.indices is None:
                self.weight.copy_(self.block.parameter)
            else:
                value = self.origin.to(self.block.parameter.dtype) + self.block.parameter
                self._assign(value)

    def restore(self) -> None:
        """Restore W0 bit for bit."""
        with torch.no_grad():
            if self.block.indices is None:
                self.weight.copy_(self.origin.reshape(self.weight.shape))
            else:
                self._assign(self.origin)

    def _assign(self, value: Tensor) -> None:
        assert self.block.indices is not None
        self.weight.view(-1).index_copy_(0, self.block.indices.long(), value.to(self.weight.dtype))

    def _attach(self, module: nn.Module, tensor: str) -> Handle | None:
        """Make a module that uses the weight send its gradient to the block; None if autograd already does."""
        if self._trains_itself:
            return None
        if isinstance(module, nn.Linear) and tensor == "weight" and self.block.indices is not None:
            return _LinearForward(module, self.block)
        return _Shadow(module, tensor, self.weight, self.block)


def _origin(weight: nn.Parameter, block: Block) -> Tensor:
    if block.indices is not None:
        return weight.detach().flatten()[block.indices]
    assert block.start is not None, "a whole weight starts from its own value"
    return block.start


class _LinearForward:
    """Replaces a linear layer's forward by one that computes the weight's gradient only at the mask's entries."""

    def __init__(self, module: nn.Linear, block: Block) -> None:
        assert block.indices is not None
        self.module = module
        sample = sampler(block.indices, (module.out_features, module.in_features))

        def forward(x: Tensor) -> Tensor:
            weight: Tensor = module.weight
            bias: Tensor | None = module.bias
            if not torch.is_grad_enabled():
                return linear(x, weight, bias)
            if torch.is_autocast_enabled(x.device.type):
                dtype = torch.get_autocast_dtype(x.device.type)
                x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
            result: Tensor = _SampledLinear.apply(x, block.parameter, weight, bias, sample)  # type: ignore[no-untyped-call]
            return result

        module.forward = forward  # type: ignore[method-assign, assignment]

    def remove(self) -> None:
        del self.module.forward


class _SampledLinear(torch.autograd.Function):
    """x W^T + b for x ``(..., in)``, with the gradient of W only at the mask's entries."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, delta: Tensor, weight: Tensor, bias: Tensor | None, sample: Sampler) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.sample, ctx.dtype = sample, delta.dtype
        return linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, Tensor | None, None]:
        (x, weight), (gradient,) = ctx.saved_tensors, gradients
        flat = gradient.reshape(-1, gradient.shape[-1])
        of_delta = ctx.sample(flat, x.reshape(-1, x.shape[-1])).to(ctx.dtype)
        of_input = gradient @ weight if ctx.needs_input_grad[0] else None
        of_bias = flat.sum(0) if ctx.needs_input_grad[3] else None
        return of_input, of_delta, None, of_bias, None


class _Shadow:
    """Replaces a module's weight by an alias during the module's forward pass.

    The alias shares the storage of the live weight, so the module computes the same; the gradient of the alias is
    gathered into the block. This is used for vectors and tables, for which the module's own backward is cheap.
    """

    def __init__(self, module: nn.Module, tensor: str, weight: nn.Parameter, block: Block) -> None:
        def enter(_module: nn.Module, _args: Any) -> None:
            if torch.is_grad_enabled():
                alias = _Alias.apply(block.parameter, weight, block.indices)  # type: ignore[no-untyped-call]
                module.__dict__[tensor] = alias

        def leave(_module: nn.Module, _args: Any, _output: Any) -> None:
            module.__dict__.pop(tensor, None)

        self.handles = [
            module.register_forward_pre_hook(enter, prepend=True),
            module.register_forward_hook(leave, always_call=True),
        ]

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


class _Alias(torch.autograd.Function):
    """Returns the weight in the forward pass, and passes its gradient at the mask's entries to the delta."""

    @staticmethod
    def forward(ctx: Any, delta: Tensor, weight: Tensor, indices: Tensor | None) -> Tensor:
        ctx.indices, ctx.dtype = indices, delta.dtype
        return weight.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        if ctx.indices is not None:
            gradient = gradient.flatten().index_select(0, ctx.indices)
        return gradient.to(ctx.dtype), None, None
