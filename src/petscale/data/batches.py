"""Batches: a pure function of (seed, epoch), of examples of like length, padded to their longest only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

POOL = 32
"""Batches' worth of examples among which lengths are sorted: wider pads less, narrower mixes better."""

FEWEST_POOLS = 4
"""Small sets are sorted in parts too, or the same examples would meet in every epoch."""

IGNORED = -100
"""Target id that the loss skips."""


def epoch_batches(
    lengths: Sequence[int] | NDArray[np.integer], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Index batches of one epoch: every example once, ceil(n / batch_size) batches, alike on every machine.

    Examples are shuffled, sorted by length within pools, cut into batches, and the batches are shuffled.
    """
    lengths = np.asarray(lengths)
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = rng.permutation(len(lengths))
    width = min(POOL, math.ceil(len(order) / batch_size / FEWEST_POOLS)) * batch_size
    pools = [order[start : start + width] for start in range(0, len(order), width)]
    ordered = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools] or [order])
    batches = [ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)]
    return [batches[place] for place in rng.permutation(len(batches))]


def scoring_batches(lengths: NDArray[np.integer], tokens: int, rank: int = 0, size: int = 1) -> list[NDArray[np.int64]]:
    """Index batches by falling length, of at most `tokens` tokens with padding, but one example at least.

    The longest examples come first, so that a lack of memory shows at once. Of `size` processes each takes every
    `size`-th example of that order: alike in length, and in number but for one.
    """
    order = np.argsort(-lengths, kind="stable")[rank::size]
    batches = []
    while len(order):
        count = max(1, tokens // max(1, int(lengths[order[0]])))
        batches.append(order[:count])
        order = order[count:]
    return batches
