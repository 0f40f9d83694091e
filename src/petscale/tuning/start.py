"""The initial values of a delta.

Each tensor has its own random stream, keyed by (seed, name), so its initial values do not depend on torch's global
generator, on the device, or on the other sites of the plan. The numbers are drawn with numpy, whose streams are equal
on every machine.
"""

from __future__ import annotations

import hashlib
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from petscale.tuning.site import Trained

VERSION = 1
NORMAL_STD = 0.01  # standard deviation of adapters in the released code of Su et al.


def draw(tensor: Trained, key: str, seed: int) -> torch.Tensor | None:
    """Draw initial values ``(count,)`` in mask order, float32 on the CPU; None for zeros.

    `origin` and `vocabulary` depend on the backbone and are not drawn here.
    """
    if tensor.start == "zeros":
        return None
    random = _stream(key, seed)
    if tensor.start == "normal":
        values = random.standard_normal(tensor.count) * NORMAL_STD
    else:
        values = random.uniform(-1.0, 1.0, tensor.count) * _fan_in_bound(tensor)
    return torch.from_numpy(values.astype(np.float32))


def draw_rows(tensor: Trained, key: str, seed: int, vocabulary: int) -> torch.Tensor:
    """Draw the rows ``(tokens,)`` of the embedding from which soft tokens start (Lester et al. 2021, section 3.2).

    They are drawn from the whole vocabulary, because only some tokenizers put the frequent words first.
    """
    tokens = tensor.shape[0]
    rows = _stream(key, seed).choice(vocabulary, size=tokens, replace=tokens > vocabulary)
    return torch.from_numpy(rows.astype(np.int64))


def _stream(key: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(f"petscale-start-{VERSION}/{seed}/{key}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def _fan_in_bound(tensor: Trained) -> NDArray[np.float64]:
    """1 / sqrt(fan-in) for every entry, as in kaiming_uniform(a=sqrt(5)); fan-in counts only the trained entries."""
    rank, width = tensor.shape[0], prod(tensor.shape[1:])
    fan_in = tensor.mask.quotas or (width,) * rank
    return np.concatenate([np.full(quota, quota**-0.5) for quota in fan_in if quota])
