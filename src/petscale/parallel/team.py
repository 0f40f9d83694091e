"""The processes that work on one cell together, one on each device of a node; a team of one by default.

The methods are the collective operations of `torch.distributed`: all members must call each of them, in the same order.
In a team of one they return what was given and send nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """One member's view of its team.

    Attributes:
        rank: this member, from 0; member 0 leads: it alone writes files.
        size: members in all.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the first, which alone writes files."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any member."""
        if self.size == 1:
            return flag
        highest = torch.tensor(int(flag))
        dist.all_reduce(highest, dist.ReduceOp.MAX)
        return bool(highest)

    def gather(self, value: T) -> list[T]:
        """The values of all members, in the order of ranks; every member receives them all."""
        if self.size == 1:
            return [value]
        found: list[T] = [value] * self.size
        dist.all_gather_object(found, value)
        return found

    def broadcast(self, value: T) -> T:
        """The leader's value, in every member; the values of the others are ignored."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the members, in place.

        All tensors are sent in one message, so they must be small and of one dtype.
        """
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def scatter(self, value: Tensor | None, like: Tensor) -> Tensor:
        """The leader's full tensor, laid out over the members as `like` is: a shard each, or a full copy each.

        Args:
            value: the full tensor; may be None in every member but the leader.
            like: a tensor of this member, sharded or not, with the shape, dtype and device that the result takes.
        """
        if self.size == 1:
            assert value is not None
            return value
        if value is None:
            value = torch.empty(like.shape, dtype=like.dtype)
        value = value.to(like.device, like.dtype).contiguous()
        if isinstance(like, DTensor):
            return distribute_tensor(value, like.device_mesh, like.placements)
        dist.broadcast(value, src=0)
        return value


ALONE = Team()


def to_local(tensor: Tensor) -> Tensor:
    """This process's shard of a sharded tensor; an unsharded tensor as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def full_tensor(tensor: Tensor) -> Tensor:
    """All entries of a tensor, in every process; for a sharded tensor a collective operation."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
