"""The choice of a learning rate: the one with the best dev score among those that were tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Edge = Literal["lowest", "highest"]


class Try(BaseModel):
    """A rate that was tried, with its dev score in points; null if the cell diverged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float
    dev: float | None = Field(description="best dev score in points; null for a diverged cell")


def best_rate(tries: Sequence[Try]) -> float | None:
    """The rate with the best dev score; among equal ones the lowest, which disturbs the backbone least.

    None if every cell diverged.
    """
    known = [(-each.dev, each.learning_rate) for each in tries if each.dev is not None]
    return min(known)[1] if known else None


def edge_of(tries: Sequence[Try], rate: float) -> Edge | None:
    """Whether a rate is the lowest or the highest of those tried, so that a better one may lie beyond.

    A single rate has no edge, and if all scores are equal nothing lies beyond.
    """
    rates = [each.learning_rate for each in tries]
    if len(rates) < 2 or len({each.dev for each in tries}) == 1:
        return None
    if rate == min(rates):
        return "lowest"
    return "highest" if rate == max(rates) else None
