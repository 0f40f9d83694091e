"""What a model says about the examples of a split, before it becomes a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Batch = tuple[NDArray[np.int64], "dict[str, torch.Tensor]"]
"""Indices of some examples ``(b,)`` and the model's input tensors for them, without labels."""


@dataclass
class Answers:
    """What the model says about each example, in the order of the split.

    Attributes:
        texts: of each example; blank for those that another process answers.
        metrics: scores of single examples, ``(n,)`` for each key of a metric.
        written: tokens that the model wrote.
        finite: False where the model gave a value that is no finite number.
    """

    texts: list[str]
    metrics: dict[str, NDArray[np.float64]]
    written: int
    finite: bool
