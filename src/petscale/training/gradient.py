"""The gradient of one batch, which may be divided among several processes and parts.

The loss of a batch is a mean over its targets, so each part is weighted by its number of targets. The weighted sum over
parts and processes is the loss of the whole batch, and the same holds for the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from petscale.parallel.dropout import rows_of_whole
from petscale.parallel.team import Team
from petscale.training.batch import StepBatch
from petscale.training.setup import Ready


@dataclass(frozen=True)
class Part:
    """Rows [first, stop) of a batch, and their weight in its loss."""

    first: int
    stop: int
    weight: float


def cut(targets: list[int], team: Team, most: int | None) -> list[Part]:
    """The parts that this member processes, one after the other; over all members each row is in exactly one part.

    All members get the same number of parts, because they wait for each other in each part: a member with too few rows
    repeats its first one with weight 0.

    Args:
        targets: number of targets of each row: label tokens, or 1 for a class.
        team: the team whose members share the batch.
        most: largest number of rows in a part; None for all rows of a member.
    """
    rows = len(targets)
    shares = [(rows * rank // team.size, rows * (rank + 1) // team.size) for rank in range(team.size)]
    largest = max(stop - first for first, stop in shares)
    width = min(most or largest, largest)
    first, stop = shares[team.rank]
    total = sum(targets)
    spans = [(start, min(start + width, stop)) for start in range(first, stop, width)]
    parts = [Part(start, end, sum(targets[start:end]) / total) for start, end in spans]
    return parts + [Part(0, 1, 0.0)] * (-(-largest // width) - len(parts))


def backward(ready: Ready, batch: StepBatch, seed: Callable[[], None]) -> Tensor:
    """Add the gradients of a batch's mean loss to the parameters; returns that loss, detached.

    Args:
        ready: the cell; its team and its `micro_batch` say how the batch is divided.
        batch: the whole batch, the same in every process.
        seed: function that seeds the random generator of dropout for this step.
    """
    tensors, rows = batch.tensors, len(batch.targets)
    if ready.team.size == 1 and rows <= (ready.micro_batch or rows):
        seed()
        with ready.autocast():
            loss: Any = ready.model(**tensors).loss
        loss.backward()
        detached: Tensor = loss.detach()
        return detached
    total = torch.zeros((), device=ready.device)
    for part in cut(batch.targets, ready.team, ready.micro_batch):
        seed()
        with rows_of_whole(part.first, part.stop, rows):
            with ready.autocast():
                loss = part.weight * ready.model(**{k: v[part.first : part.stop] for k, v in tensors.items()}).loss
            loss.backward()
        total += loss.detach()
    ready.team.all_reduce([total])
    if ready.sharded is None:
        ready.team.all_reduce([p.grad for p in ready.parameters if p.grad is not None])
    return total
