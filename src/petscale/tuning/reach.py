"""The entries of the backbone's weights that change when a delta is merged into them, their number and their rank."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Entries:
    """A set of entries of a tensor, whose positions are computed only on request.

    Attributes:
        size: number of entries, or a function that counts them on request.
        positions: function that returns their flat (row-major) positions ``(count,)``, each once, in any order.
    """

    size: int | Callable[[], int]
    positions: Callable[[], NDArray[np.int64]]

    @cached_property
    def count(self) -> int:
        """Number of entries."""
        return self.size if isinstance(self.size, int) else self.size()


@dataclass(frozen=True)
class Reach:
    """The entries of one tensor of the backbone that one site changes.

    Attributes:
        tensor: its name in the inventory.
        entries: entries that may differ from the backbone's after the site is merged.
        rank: an upper bound of the rank of the change, if the tensor is a matrix; None if no lower one is known than
            that of the matrix.
    """

    tensor: str
    entries: Entries
    rank: int | None = None


def touched(reaches: Iterable[Reach]) -> int:
    """Number of entries of the backbone that any of the sites changes; an entry that several change counts once."""
    by_tensor: dict[str, list[Entries]] = {}
    for reach in reaches:
        by_tensor.setdefault(reach.tensor, []).append(reach.entries)
    return sum(_union(entries) for entries in by_tensor.values())


def highest_rank(reaches: Iterable[Reach], shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """The highest rank that the change of one matrix can have; None if no matrix is changed.

    Args:
        reaches: what the sites change; the changes of sites that reach one matrix add up.
        shapes: shapes of the backbone's tensors by name.
    """
    ranks: dict[str, int] = {}
    for reach in reaches:
        shape = shapes[reach.tensor]
        if len(shape) == 2:
            whole = min(shape)
            added = whole if reach.rank is None else reach.rank
            ranks[reach.tensor] = min(whole, ranks.get(reach.tensor, 0) + added)
    return max(ranks.values(), default=None)


def _union(entries: list[Entries]) -> int:
    if len(entries) == 1:
        return entries[0].count
    return len(np.unique(np.concatenate([one.positions() for one in entries])))
