"""Which entries of the backbone's weights a delta changes once it is folded into them: counts, and unions of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Entries:
    """Some entries of a tensor; positions are worked out only where they are asked for.

    Attributes:
        count: how many there are.
        positions: gives their flat (row-major) positions ``(count,)``, each once, in any order.
    """

    count: int
    positions: Callable[[], NDArray[np.int64]]


@dataclass(frozen=True)
class Reach:
    """The entries of one tensor of the backbone that one site changes.

    Attributes:
        tensor: its name in the inventory.
        entries: that may differ from the backbone's once the site is folded.
    """

    tensor: str
    entries: Entries


def touched(reaches: Iterable[Reach]) -> int:
    """Entries of the backbone that any of the sites changes; an entry that several of them reach counts once."""
    by_tensor: dict[str, list[Entries]] = {}
    for reach in reaches:
        by_tensor.setdefault(reach.tensor, []).append(reach.entries)
    return sum(_union(entries) for entries in by_tensor.values())


def _union(entries: list[Entries]) -> int:
    if len(entries) == 1:
        return entries[0].count
    return len(np.unique(np.concatenate([one.positions() for one in entries])))
