"""Full fine-tuning over several devices: float32 masters, gradients and moments in shards (torch's FSDP2).

The weights of each layer are gathered for its forward and backward pass, in the study's precision, and freed again. For
scoring they are gathered once, into an unsharded copy of the model: decoding takes a different number of steps in every
process, so it must not wait for the others.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from petscale.parallel.team import Team, full_tensor


class Sharded:
    """A model whose parameters are float32 shards, and its unsharded copy (the twin) for scoring."""

    def __init__(self, model: Any, team: Team, device: torch.device, *, units: Sequence[Any]) -> None:
        """Shard `model` in place on `device`, the device of this process.

        Args:
            model: model on the host, the same in every process, without a delta.
            team: the processes, all of which must make this call.
            units: modules whose weights are gathered together, one unit at a time; the model's other weights form one
                more unit.
            device: device of the shards and computations.
        """
        self._model = model
        self._precision: torch.dtype = model.dtype
        self._device = device
        # The twin has meta tensors, which use no memory. Tied weights stay tied, since each tensor has one stand-in.
        stand_ins = {id(p): nn.Parameter(p.to("meta"), requires_grad=False) for p in model.parameters()}
        self._twin = copy.deepcopy(model, stand_ins).eval()
        mesh = init_device_mesh(device.type, (team.size,))
        policy = MixedPrecisionPolicy()
        if self._precision != torch.float32:
            # Inputs are not cast here, because autocast does that, as in one process.
            policy = MixedPrecisionPolicy(self._precision, torch.float32, cast_forward_inputs=False)
        for module in (*units, model):
            for parameter in module.parameters():
                if not isinstance(parameter, DTensor):
                    parameter.data = parameter.data.float()
            fully_shard(module, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
        for module in model.modules():
            if isinstance(module, FSDPModule):
                # Gradients are summed, not averaged: each part of a batch is already weighted by its share.
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)

    @contextmanager
    def gathered(self) -> Iterator[Any]:
        """Context that gives the twin with all weights, in the study's precision."""
        places = [
            (twin, module, key)
            for (_, module), (_, twin) in zip(self._model.named_modules(), self._twin.named_modules(), strict=True)
            for key in module._parameters
            if module._parameters[key] is not None
        ]
        empty = [twin._parameters[key] for twin, _, key in places]
        found: dict[int, nn.Parameter] = {}
        for twin, module, key in places:
            shard = module._parameters[key]
            if id(shard) not in found:
                found[id(shard)] = nn.Parameter(full_tensor(shard.detach().to(self._precision)), requires_grad=False)
            twin._parameters[key] = found[id(shard)]
        found.clear()
        for buffer in self._twin.buffers():
            buffer.data = buffer.data.to(self._device)
        try:
            yield self._twin
        finally:
            for (twin, _, key), stand_in in zip(places, empty, strict=True):
                twin._parameters[key] = stand_in
