"""Losses of training steps, which stay on the device until they are read, so that no step waits for the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Step:
    """A finished training step.

    Attributes:
        number: 1 for the first step.
        tokens: tokens trained on up to and including this step, without padding.
        rate: its learning rate.
    """

    number: int
    tokens: int
    rate: float


class Tally:
    """The steps since the last reading, with their losses."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._losses: list[Tensor] = []

    def add(self, step: Step, loss: Tensor) -> None:
        """Record a step; `loss` is a scalar on the device and is not read."""
        self._steps.append(step)
        self._losses.append(loss)

    def read(self) -> list[tuple[Step, float]]:
        """The recorded steps with their losses, by one transfer that waits for the device; they are then forgotten."""
        if not self._steps:
            return []
        losses: list[float] = torch.stack(self._losses).double().tolist()
        read = list(zip(self._steps, losses, strict=True))
        self._steps, self._losses = [], []
        return read
