"""Batches of training steps: made on the host, which counts what must be counted and sends them without waiting."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from petscale.data.batches import IGNORED
from petscale.families.family import Family

_MASK = "attention_mask"


@dataclass(frozen=True)
class StepBatch:
    """The batch of one training step.

    Attributes:
        tensors: the model's arguments, on its device.
        targets: number of targets of each example: its label tokens, or 1 for a class.
        tokens: number of tokens without padding: those of the input, and those of a target text.
    """

    tensors: dict[str, Tensor]
    targets: list[int]
    tokens: int


def step_batch(collated: dict[str, Tensor], family: Family, device: torch.device) -> StepBatch:
    """Count what is in a batch that `family` collated on the host, and send it to the device."""
    labels, mask = collated["labels"], collated[_MASK].bool()
    written = (labels != IGNORED).sum(1).tolist() if labels.dim() == 2 else []
    tensors = {**collated, _MASK: family.step_mask(mask)}
    return StepBatch(
        tensors={name: _sent(tensor, device) for name, tensor in tensors.items() if tensor is not None},
        targets=written or [1] * len(labels),
        tokens=int(mask.sum()) + sum(written),
    )


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device; to a GPU it is copied from pinned memory while the host goes on."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
