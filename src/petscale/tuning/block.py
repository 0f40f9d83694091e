"""A block: the parameter that holds one trained tensor of a site, with only the entries of its mask."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from petscale.parallel.team import to_local
from petscale.tuning.site import Named, Trained


@dataclass
class Block:
    """The master of one tensor of a site, in float32 unless the cell asks for bfloat16.

    Attributes:
        key: name in states and files.
        spec: the tensor in the plan.
        parameter: the parameter for the optimizer: ``(count,)`` in mask order, or the full shape if the mask is dense.
        indices: ``(count,)`` flat positions of the entries; None if the mask is dense.
        start: initial value, on the CPU; None for zeros. For a sharded parameter, the part of this process.
    """

    key: str
    spec: Trained
    parameter: nn.Parameter
    indices: Tensor | None
    start: Tensor | None

    def whole(self, dtype: torch.dtype) -> Tensor:
        """The tensor in its full shape, zero outside the mask, differentiable; for small tensors (factors, vectors)."""
        return scatter(self.parameter, self.indices, self.spec.shape).to(dtype)

    def changed(self) -> int:
        """Number of entries that differ from their initial value; for a sharded parameter, in this process's part."""
        value = to_local(self.parameter.detach())
        if self.start is None:
            return int(torch.count_nonzero(value))
        return int((value != self.start.to(value.device)).sum())


def scatter(values: Tensor, indices: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    """A tensor of `shape` that is zero except for `values` at flat positions `indices`; differentiable in `values`."""
    if indices is None:
        return values.reshape(shape)
    zeros = torch.zeros(prod(shape), dtype=values.dtype, device=values.device)
    return zeros.index_copy(0, indices.long(), values).reshape(shape)


def nearest_parameter(model: nn.Module, module: str) -> nn.Parameter:
    """A parameter of the module or of the closest module around it, which shows the module's device and precision."""
    while True:
        found = next(model.get_submodule(module).parameters(), None)
        if found is not None:
            return found
        module = module.rpartition(".")[0]


def entry_indices(named: Named, device: torch.device) -> Tensor | None:
    """Flat positions of a mask's entries on a device, as int32 if they fit; None if the mask is dense."""
    if named.tensor.mask.structure == "dense":
        return None
    positions = torch.from_numpy(named.indices())
    return positions.to(device, torch.int32 if prod(named.tensor.shape) < 2**31 else torch.int64)
