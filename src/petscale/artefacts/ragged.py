"""Sequences of unequal length, stored as two flat arrays so that a file of them can be mapped without parsing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ragged:
    """Packed sequences: `values[offsets[i]:offsets[i + 1]]` is sequence i.

    Shapes: values (sum of lengths,), offsets (n + 1,) int64.
    """

    values: NDArray[np.generic]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]], dtype: type[np.generic]) -> Ragged:
        """Pack sequences of integers."""
        offsets = np.zeros(len(sequences) + 1, np.int64)
        np.cumsum([len(sequence) for sequence in sequences], out=offsets[1:])
        values = np.fromiter((value for sequence in sequences for value in sequence), dtype, int(offsets[-1]))
        return cls(values, offsets)

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> Ragged:
        """Pack texts as UTF-8."""
        return cls.of([text.encode() for text in texts], np.uint8)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[np.generic]:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def text(self, index: int) -> str:
        """Sequence `index` of packed texts."""
        return self[index].tobytes().decode()

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each sequence, (n,)."""
        return np.diff(self.offsets)

    def padded(self, indices: NDArray[np.int64], fill: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The chosen sequences as rows, padded to the longest: values and mask, both (len(indices), longest)."""
        lengths = self.lengths[indices]
        columns = np.arange(lengths.max(initial=0))
        mask = columns < lengths[:, None]
        rows = np.full(mask.shape, fill, np.int64)
        rows[mask] = self.values[(self.offsets[:-1][indices][:, None] + columns)[mask]]
        return rows, mask
