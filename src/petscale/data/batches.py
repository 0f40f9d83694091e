"""Batches as a function of (seed, epoch): examples of similar length, padded to the longest of the batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

POOL = 32
"""Number of batches in a pool, within which examples are sorted by length: larger pools need less padding, and smaller
ones mix examples better."""

FEWEST_POOLS = 4
"""Smallest number of pools of an epoch: with a single pool, the same examples would share a batch in every epoch."""

IGNORED = -100
"""Target id that the loss ignores."""


def epoch_batches(
    lengths: Sequence[int] | NDArray[np.integer], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Indices of the batches of one epoch: every example once, ceil(n / batch_size) batches, equal on every machine.

    Examples are shuffled, sorted by length within pools, divided into batches, and the batches are shuffled.
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
    """Indices of batches by decreasing length, with at most `tokens` tokens with padding, but at least one example.

    The longest examples come first, so that running out of memory happens at once. Each of `size` processes takes every
    `size`-th example of that order, so their lengths are similar and their numbers differ by at most one.
    """
    order = np.argsort(-lengths, kind="stable")[rank::size]
    batches = []
    while len(order):
        count = max(1, tokens // max(1, int(lengths[order[0]])))
        batches.append(order[:count])
        order = order[count:]
    return batches
