"""The status of the measurements of a study, read from their records and logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from petscale.artefacts.layout import RESULTS, Layout
from petscale.cells.efficiency import read_efficiency
from petscale.errors import BadInput
from petscale.study.grid import Grid, PlannedMeasurement
from petscale.study.measurement import measured_code
from petscale.workspace.commands import snakemake
from petscale.workspace.last_words import last_words


@dataclass(frozen=True)
class MeasurementStatus:
    """The status of one measurement.

    Attributes:
        measurement: its path below results/measurements.
        phase: `done` if it has a record; otherwise `failed` if the log of its job names a cause.
        cause: the cause of a failure in one line.
        stale: whether other code than the package's made the record.
        rerun: the full command that measures again.
    """

    measurement: str
    phase: Literal["done", "failed", "pending"]
    cause: str | None
    stale: bool
    rerun: str


def measurement_status(grid: Grid, root: Path, options: str) -> list[MeasurementStatus]:
    """The status of every measurement of a study, in the order of the plan.

    Args:
        grid: the study's grid.
        root: the working directory, which contains `results/`.
        options: options that follow the target in the rerun command.
    """
    layout = Layout(str(root / RESULTS))
    return [_status(path, planned, layout, options) for path, planned in grid.measurements.items()]


def _status(path: str, planned: PlannedMeasurement, layout: Layout, options: str) -> MeasurementStatus:
    record, rerun = Path(layout.measurement(path)), snakemake(Layout().measurement(path), options)
    if not record.exists():
        cause = last_words(Path(layout.log("measure", path)))
        return MeasurementStatus(path, "failed" if cause else "pending", cause, False, rerun)
    try:
        code = read_efficiency(record).hashes.get("code")
    except BadInput as error:
        return MeasurementStatus(path, "failed", str(error), False, rerun)
    own = measured_code(planned.cell.cell.method, planned.cell.backbone.shape.family)
    return MeasurementStatus(path, "done", None, code != own, rerun)
