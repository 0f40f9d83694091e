"""A threshold search as plain data: which cells it may train, and the settings that its next budgets follow from.

The budgets are decided while the study runs (petscale.search.rule), from results. Everything else is known before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from petscale import tasks as task_registry
from petscale.artefacts.canonical import digest
from petscale.artefacts.growth import incoming, later, outgoing
from petscale.artefacts.names import slug
from petscale.cells.record import CellResult
from petscale.study.cell import Cell
from petscale.study.config.recipe import rate_at

RANK = "rank_accuracy"

Reading = Literal["knowledge", "published"]


@dataclass(frozen=True)
class Search:
    """A search for the two thresholds of one method on one backbone and task.

    Attributes:
        dearest: its cell with the largest budget and the first seed; other cells differ in budget and seeds alone.
        seeds: a round trains one cell with each of them.
        mask_seed: seed of all masks; None if each training seed has masks of its own.
        smallest: first budget that the method can train.
        largest: most parameters that it can hold.
        frozen: paths of the cells that measure the baseline.
        full: paths of the cells of full fine-tuning.
        rise: points above the baseline that define the low threshold.
        margin: points below full fine-tuning that define the high threshold.
        factor: a threshold is known when the ends of its interval differ by at most this factor.
        cells: most cells of the search.
        confidence: of the intervals.
        reading: which score of a cell counts.
        rates: some budgets with their learning rates, as in the recipe; without any, all cells have that of `dearest`.
    """

    dearest: Cell
    seeds: tuple[int, ...]
    mask_seed: int | None
    smallest: int
    largest: int
    frozen: tuple[str, ...]
    full: tuple[str, ...]
    rise: float
    margin: float
    factor: float
    cells: int
    confidence: float
    reading: Reading
    rates: tuple[tuple[int, float], ...] = later(())

    def spec(self) -> dict[str, Any]:
        """The search as plain data, for rules and digests."""
        lists = {name: list(getattr(self, name)) for name in ("seeds", "frozen", "full")}
        rates = {"rates": [list(pair) for pair in self.rates]} if self.rates else {}
        return {**outgoing(self), **lists, **rates, "dearest": self.dearest.spec()}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Search:
        """The inverse of `spec`.

        Raises:
            BadInput: a field is missing or unknown.
        """
        lists = {name: tuple(spec.get(name) or ()) for name in ("seeds", "frozen", "full")}
        lists["rates"] = tuple((budget, rate) for budget, rate in spec.get("rates") or ())
        return incoming(cls, {**spec, **lists, "dearest": Cell.from_spec(spec.get("dearest") or {})}, "search")

    @cached_property
    def path(self) -> str:
        """Path below results/searches: `<backbone>/<task>/<method>-<digest>`. Equal searches of two studies are one."""
        cell = self.dearest
        return f"{slug(cell.backbone)}/{cell.task}/{cell.method}-{digest(self.spec())}"

    def score(self, record: CellResult) -> float | None:
        """The score of one of its cells in points, in its reading; None for a diverged cell."""
        by_rank = self.reading == "knowledge" and RANK in record.test
        found = record.test.get(RANK if by_rank else record.metric)
        return None if record.status != "done" or found is None or found.value is None else 100 * found.value

    @property
    def guess(self) -> float:
        """Points of guessing, below which no baseline lies: a backbone may know labels and prefer the wrong one."""
        labels = task_registry.lookup(self.dearest.task).labels
        return 100 / len(labels) if labels and self.reading == "knowledge" else 0.0

    @property
    def rounds(self) -> int:
        """Number of rounds that the cap allows."""
        return math.ceil(self.cells / len(self.seeds))

    @property
    def references(self) -> tuple[str, ...]:
        """Paths of the cells whose results define the thresholds."""
        return (*self.frozen, *self.full)

    def cell(self, seed: int, choice: float) -> Cell:
        """The cell with that seed and budget."""
        budget = int(choice)
        return replace(
            self.dearest,
            seed=seed,
            budget=budget,
            mask_seed=seed if self.mask_seed is None else self.mask_seed,
            learning_rate=rate_at(dict(self.rates), budget) if self.rates else self.dearest.learning_rate,
        )

    @property
    def expected_cells(self) -> int:
        """Cells that bisection needs without noise: a round of S cells divides the range of each threshold by S/2 + 1.

        With noise a search needs more, at most `cells`.
        """
        ratio = math.log(self.largest / self.smallest) / math.log(self.factor)
        width = len(self.seeds)
        rounds = max(1, math.ceil(math.log(max(ratio, 1.0)) / math.log(width / 2 + 1)))
        return min(self.cells, rounds * width)
