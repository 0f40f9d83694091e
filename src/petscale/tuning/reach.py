"""The entries of the backbone's weights that change when a delta is merged into them, and their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Entries:
    """A set of entries of a tensor, whose positions are computed only on request.

    Attributes:
        count: number of entries.
        positions: function that returns their flat (row-major) positions ``(count,)``, each once, in any order.
    """

    count: int
    positions: Callable[[], NDArray[np.int64]]


@dataclass(frozen=True)
class Reach:
    """The entries of one tensor of the backbone that one site changes.

    Attributes:
        tensor: its name in the inventory.
        entries: entries that may differ from the backbone's after the site is merged.
    """

    tensor: str
    entries: Entries


def touched(reaches: Iterable[Reach]) -> int:
    """Number of entries of the backbone that any of the sites changes; an entry that several change counts once."""
    by_tensor: dict[str, list[Entries]] = {}
    for reach in reaches:
        by_tensor.setdefault(reach.tensor, []).append(reach.entries)
    return sum(_union(entries) for entries in by_tensor.values())


def _union(entries: list[Entries]) -> int:
    if len(entries) == 1:
        return entries[0].count
    return len(np.unique(np.concatenate([one.positions() for one in entries])))
