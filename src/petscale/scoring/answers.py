"""The answers of a model to the examples of a split, from which scores are computed."""

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
    """The answer of the model to each example, in the order of the split.

    Attributes:
        texts: answer to each example; empty for those that another process answers.
        metrics: scores of single examples, ``(n,)`` for each key of a metric.
        written: number of tokens that the model generated.
        finite: False if the model gave a value that is not a finite number.
    """

    texts: list[str]
    metrics: dict[str, NDArray[np.float64]]
    written: int
    finite: bool
