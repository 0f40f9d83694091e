"""A mask as data: its structure and its number of entries; the entries themselves are computed when needed.

The entries depend only on (mask seed, site, tensor). So layers are independent of each other, plans are small, and the
same seed gives the same mask on every machine. Each structure puts the entries in an order, and a mask of k entries is
the first k of them, so a smaller mask is part of every larger one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from petscale.families.parts import Ranges
from petscale.tuning.masks.permutation import permuted_prefix

Structure = Literal["dense", "adjacent", "discrete"]
Orientation = Literal["rows", "columns"]

VERSION = 1  # raise when the entries that a seed selects change


@dataclass(frozen=True, slots=True)
class Mask:
    """The mask m of the papers' W (.) m, for a tensor of a given shape.

    Attributes:
        structure: `dense`, every entry; `adjacent`, a run of neighbours in rows or columns that continues in the next
            row or column; `discrete`, entries scattered at random.
        quotas: number of entries in each lane. A lane is the whole tensor or, in the factors of a pair, one rank (one
            row). Empty for dense masks.
        seed: the mask seed.
        dead: flat positions that may not be selected.
    """

    structure: Structure
    quotas: tuple[int, ...] = ()
    seed: int = 0
    dead: Ranges = ()

    def count(self, shape: tuple[int, ...]) -> int:
        """Number of entries that the mask selects in a tensor of this shape."""
        return prod(shape) if self.structure == "dense" else sum(self.quotas)

    def orientation(self, key: str) -> Orientation:
        """Whether the run of an adjacent mask goes along rows or along columns."""
        return "rows" if self._digest(key, "orientation")[0] % 2 == 0 else "columns"

    def indices(self, shape: tuple[int, ...], key: str) -> NDArray[np.int64]:
        """Flat (row-major) positions of the selected entries, in mask order: along the run, or ascending.

        Args:
            shape: shape of the tensor.
            key: name of site and tensor, which selects the random stream.

        Returns:
            ``(count,)`` different integers.
        """
        if self.structure == "dense":
            return np.arange(prod(shape), dtype=np.int64)
        size = prod(shape) // len(self.quotas)
        lanes = [
            lane * size + self._lane(shape, size, quota, f"{key}#{lane}") for lane, quota in enumerate(self.quotas)
        ]
        return np.concatenate(lanes)

    def rank(self, shape: tuple[int, int], key: str) -> int:
        """An upper bound of the rank of a matrix ``shape`` that is zero outside the mask.

        It is the smallest of its rows, columns and entries and, for a run, of the rows (columns) that the run reaches.

        Args:
            shape: shape of the matrix.
            key: as for `indices`.
        """
        rows, columns = shape
        whole = min(rows, columns, self.count(shape))
        if self.structure != "adjacent" or len(self.quotas) != 1 or self.dead:
            return whole
        line = columns if self.orientation(key) == "rows" else rows
        reached = (self._start(f"{key}#0", rows * columns) % line + self.quotas[0] - 1) // line + 1
        return min(whole, reached)

    def _start(self, key: str, living: int) -> int:
        """Where a run starts among the living entries."""
        return int.from_bytes(self._digest(key, "start")[:8], "little") % living

    def _lane(self, shape: tuple[int, ...], size: int, quota: int, key: str) -> NDArray[np.int64]:
        living = size - sum(stop - start for start, stop in self.dead)
        if self.structure == "discrete":
            return self._skip_dead(np.sort(permuted_prefix(living, quota, self._digest(key, "entries"))))
        run = self._skip_dead((self._start(key, living) + np.arange(quota, dtype=np.int64)) % living)
        if len(self.quotas) == 1 and len(shape) == 2 and not self.dead and self.orientation(key[:-2]) == "columns":
            rows, columns = shape
            return run % rows * columns + run // rows
        return run

    def _skip_dead(self, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        """Turn positions counted without dead entries into flat positions."""
        positions = candidates
        for start, stop in self.dead:
            positions = np.where(positions >= start, positions + (stop - start), positions)
        return positions

    def _digest(self, key: str, purpose: str) -> bytes:
        return hashlib.sha256(f"petscale-mask-{VERSION}/{self.seed}/{key}/{purpose}".encode()).digest()
