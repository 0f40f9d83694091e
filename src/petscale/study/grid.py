"""The grid: all cells of a study, each with the experiments that need it (`petscale.study.build` makes it)."""

from __future__ import annotations

from dataclasses import dataclass, field

from petscale import tasks as task_registry
from petscale.errors import BadInput
from petscale.families.shape import BackboneShape
from petscale.study.cell import Cell, DataSpec
from petscale.study.config import Study
from petscale.study.measurement import Measurement
from petscale.study.rates import AnySearch
from petscale.tuning.registry import lookup

TRIES = "rates"
"""Name, beside those of experiments, for the cells that try rates; only the best of them belong to an experiment."""


@dataclass(frozen=True)
class Backbone:
    """A backbone as the grid needs it: its position in its ladder, its shape and its tokenizer."""

    name: str
    ladder: str
    scale: int
    shape: BackboneShape
    weights: str
    tokenizer: str
    control_of: str | None = None  # set for randomly initialised backbones


@dataclass(frozen=True)
class PlannedCell:
    """A cell with its names in figures and tables, which do not change the cell's numbers."""

    cell: Cell
    backbone: Backbone
    kind: str
    mask_structure: str | None  # of an APET mask, adjacent or discrete; None for other methods
    experiments: tuple[str, ...]
    matches: tuple[str, ...]  # PET methods whose number of trained parameters it matches
    search: str | None = None  # path of the search that decided its budget or its rate
    variant: str | None = None  # name of the study's variant that it runs; None for a method under its own name

    @property
    def name(self) -> str:
        """Name of its method or variant in the study."""
        return self.variant or self.cell.method


@dataclass(frozen=True)
class PlannedTransfer:
    """One zero-shot evaluation: a trained source cell on another task's test rows."""

    source: PlannedCell
    target: DataSpec


@dataclass(frozen=True)
class Use:
    """An experiment that needs some cells, the PET method whose number of parameters they match, and their variant."""

    experiment: str
    match: str | None = None
    variant: str | None = None


@dataclass(frozen=True)
class PlannedMeasurement:
    """One measurement of a method's speed, memory and energy.

    Attributes:
        measurement: what is measured.
        cell: the cell whose training and scoring is measured, with its backbone; it is not among the grid's cells.
    """

    measurement: Measurement
    cell: PlannedCell


@dataclass
class Grid:
    """All cells of a study in a fixed order, without repeats.

    `uses` says which experiments need the cells that each search chooses.
    """

    study: Study
    backbones: dict[str, Backbone]
    cells: dict[str, PlannedCell] = field(default_factory=dict)
    transfers: list[PlannedTransfer] = field(default_factory=list)
    searches: dict[str, AnySearch] = field(default_factory=dict)
    uses: dict[str, list[Use]] = field(default_factory=dict)
    measurements: dict[str, PlannedMeasurement] = field(default_factory=dict)

    def add(self, cell: Cell, use: Use, search: str | None = None) -> None:
        """Add a cell, or record that one more experiment needs it; `search` has chosen it.

        Raises:
            BadInput: the study has another name for the same training.
        """
        known = self.cells.get(cell.path)
        self._check_name(cell, known.variant if known else use.variant, use.variant)
        experiments = (*(known.experiments if known else ()), use.experiment)
        matches = (*(known.matches if known else ()), *([use.match] if use.match else ()))
        self.cells[cell.path] = PlannedCell(
            cell=cell,
            backbone=self.backbones[cell.backbone],
            kind=task_registry.lookup(cell.task).kind,
            mask_structure=_mask_structure(cell.method),
            experiments=tuple(dict.fromkeys(experiments)),
            matches=tuple(dict.fromkeys(matches)),
            search=search if known is None else known.search,
            variant=use.variant,
        )

    def add_search(self, search: AnySearch, use: Use) -> None:
        """Add a search, or record that one more experiment needs its cells.

        Raises:
            BadInput: the study has another name for the same search.
        """
        self.searches[search.path] = search
        uses = self.uses.setdefault(search.path, [])
        self._check_name(search.dearest, uses[0].variant if uses else use.variant, use.variant)
        if use not in uses:
            uses.append(use)

    def dearest(self, search: str) -> PlannedCell:
        """The cell that stands for those of a search in estimates and placement: that with the largest budget."""
        uses = self.uses[search]
        return self._single(
            self.searches[search].dearest,
            tuple(dict.fromkeys(use.experiment for use in uses)),
            matches=tuple(use.match for use in uses if use.match),
            search=search,
            variant=uses[0].variant,
        )

    def measure(self, measurement: Measurement, variant: str | None = None) -> None:
        """Add a measurement.

        Raises:
            BadInput: the study has another name for the same measurement.
        """
        known = self.measurements.get(measurement.path)
        self._check_name(measurement.cell, known.cell.variant if known else variant, variant)
        cell = self._single(measurement.cell, ("efficiency",), variant=variant)
        self.measurements[measurement.path] = PlannedMeasurement(measurement, cell)

    def _check_name(self, cell: Cell, known: str | None, name: str | None) -> None:
        """Refuse two names for one training: tables would compare its cells with themselves."""
        if known != name:
            which, other = (name, known or cell.method) if name else (known, cell.method)
            raise BadInput(
                f"{self.study.name}: key variants.{which}: trains the same as {other} on {cell.backbone}; keep one"
            )

    def _single(
        self,
        cell: Cell,
        experiments: tuple[str, ...],
        *,
        matches: tuple[str, ...] = (),
        search: str | None = None,
        variant: str | None = None,
    ) -> PlannedCell:
        return PlannedCell(
            cell=cell,
            backbone=self.backbones[cell.backbone],
            kind=task_registry.lookup(cell.task).kind,
            mask_structure=_mask_structure(cell.method),
            experiments=experiments,
            matches=matches,
            search=search,
            variant=variant,
        )


def _mask_structure(method: str) -> str | None:
    """The structure of an APET mask, adjacent or discrete; None for the methods with which they are compared."""
    known = lookup(method)
    return known.structure if known.takes_budget else None
