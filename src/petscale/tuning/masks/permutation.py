"""The first k values of a pseudo-random permutation of range(n), in O(k) time and memory.

A discrete mask is a prefix of such a permutation. So it has exactly k different entries and is part of the mask of
every larger k, and the n entries of a matrix (42 million in one matrix of T5-XXL) are never listed. The permutation is
a Feistel network over the smallest even number of bits that can hold n. A value outside range(n) is permuted again
until it is inside (format-preserving encryption, Black and Rogaway 2002). Only integers are used, so the result is the
same on every machine and numpy version.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDS = 6


def permuted_prefix(size: int, count: int, key: bytes) -> NDArray[np.int64]:
    """The images of 0, ..., count - 1 under the permutation of range(size) that `key` selects.

    Args:
        size: n, at least 1 and below 2^62.
        count: k, at most n.
        key: at least 32 bytes, which select the permutation.

    Returns:
        ``(count,)`` different integers in [0, size), in permutation order.
    """
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    rounds = np.frombuffer(key[:32], dtype="<u8")
    values = np.arange(count, dtype=np.uint64)
    outside = np.ones(count, dtype=bool)
    while outside.any():
        values[outside] = _feistel(values[outside], half, rounds)
        outside = values >= size
    return values.astype(np.int64)


def _feistel(values: NDArray[np.uint64], half: np.uint64, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for number in range(ROUNDS):
        left, right = right, left ^ (_mix(right, keys[number % 4], number) & mask)
    return (left << half) | right


def _mix(values: NDArray[np.uint64], key: np.uint64, number: int) -> NDArray[np.uint64]:
    """A keyed hash of 64 bits: the finaliser of SplitMix64 (Steele et al. 2014)."""
    state = values * np.uint64(0x9E3779B97F4A7C15) + (key ^ np.uint64(number * 0xD1B54A32D192ED03 % 2**64))
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
