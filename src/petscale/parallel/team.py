"""The processes that work on one cell together, one on each device of a node; alone by default.

Every method is a collective: all members call it, in the same order. Alone, each is what a program without processes
would do, and costs nothing.
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
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether any member says so."""
        if self.size == 1:
            return flag
        told = torch.tensor(int(flag))
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return bool(told)

    def gather(self, value: T) -> list[T]:
        """What each member says, in the order of ranks."""
        if self.size == 1:
            return [value]
        found: list[T] = [value] * self.size
        dist.all_gather_object(found, value)
        return found

    def told(self, value: T) -> T:
        """What the leader says; what the others bring along does not count."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one type, small ones, by their sums over the members, in one message."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def spread(self, value: Tensor | None, like: Tensor) -> Tensor:
        """The leader's whole tensor, laid out over the members as `like` is: in shards, or a copy for each."""
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


def own(tensor: Tensor) -> Tensor:
    """The part of a tensor that lies in this process; all of it where nothing is sharded."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, in every process; a collective where it is sharded."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
