"""A search for a learning rate as plain data: the cells that try the rates, and those that repeat the best one.

The first seed tries every rate. The one with the best dev score is repeated on all seeds (`petscale.search.rates`), so
each method has the same number of tries on each backbone. Test scores choose nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from petscale.artefacts.canonical import digest
from petscale.artefacts.growth import incoming, outgoing
from petscale.artefacts.names import slug
from petscale.cells.record import CellResult
from petscale.study.cell import Cell
from petscale.study.searches import Search


@dataclass(frozen=True)
class RateSearch:
    """A search for the best rate of one method on one backbone and task.

    Attributes:
        dearest: its cell with the first seed and the first rate; others differ in rate and seeds alone.
        rates: learning rates to try, ascending.
        seeds: a cell with the best rate is trained with each of them; the first one tries all rates.
        mask_seed: seed of all masks; None if each training seed has masks of its own.
    """

    dearest: Cell
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    mask_seed: int | None

    def spec(self) -> dict[str, Any]:
        """The search as plain data, for rules and digests."""
        lists = {name: list(getattr(self, name)) for name in ("rates", "seeds")}
        return {"kind": "rates", **outgoing(self), **lists, "dearest": self.dearest.spec()}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> RateSearch:
        """The inverse of `spec`.

        Raises:
            BadInput: a field is missing or unknown.
        """
        lists = {name: tuple(spec.get(name) or ()) for name in ("rates", "seeds")}
        fields = {name: value for name, value in spec.items() if name != "kind"}
        return incoming(cls, {**fields, **lists, "dearest": Cell.from_spec(spec.get("dearest") or {})}, "search")

    @cached_property
    def path(self) -> str:
        """Path below results/searches: `<backbone>/<task>/<method>-<digest>`. Equal searches of two studies are one."""
        cell = self.dearest
        return f"{slug(cell.backbone)}/{cell.task}/{cell.method}-{digest(self.spec())}"

    def cell(self, seed: int, rate: float) -> Cell:
        """The cell with that seed and rate."""
        mask_seed = None if self.dearest.mask_seed is None else seed if self.mask_seed is None else self.mask_seed
        return replace(self.dearest, seed=seed, learning_rate=rate, mask_seed=mask_seed)

    @cached_property
    def tries(self) -> tuple[Cell, ...]:
        """The cells of the first seed, one for each rate."""
        return tuple(self.cell(self.seeds[0], rate) for rate in self.rates)

    @property
    def references(self) -> tuple[str, ...]:
        """Paths of the cells whose results the choice follows from."""
        return tuple(cell.path for cell in self.tries)

    def score(self, record: CellResult) -> float | None:
        """The test score of one of its cells in points, for its record; it chooses nothing. None if it diverged."""
        found = record.test.get(record.metric)
        return None if record.status != "done" or found is None or found.value is None else 100 * found.value

    @property
    def rounds(self) -> int:
        """One: all seeds repeat the rate at the same time."""
        return 1

    @property
    def cells(self) -> int:
        """Most cells that the search makes: one for each seed; that of the first seed is one of the tries."""
        return len(self.seeds)


AnySearch = Search | RateSearch
"""A search for the two thresholds or for the learning rate of one method on one backbone and task."""


def search_from_spec(spec: Mapping[str, Any]) -> AnySearch:
    """The search of a specification.

    Raises:
        BadInput: a field is missing or unknown.
    """
    return RateSearch.from_spec(spec) if spec.get("kind") == "rates" else Search.from_spec(spec)
