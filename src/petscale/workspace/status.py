"""The status of the cells of a study, read from their files without asking a scheduler."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from petscale.artefacts.layout import RESULTS, Layout
from petscale.cells.phase import CellPhase, cell_outcome
from petscale.study.grid import Grid
from petscale.study.stages import cell_code


@dataclass(frozen=True)
class CellStatus:
    """The status of one cell: its phase and cause, and its progress while it runs."""

    cell: str
    phase: CellPhase
    cause: str | None
    attempts: int
    step: int | None
    steps: int | None
    loss: float | None
    dev: float | None
    left_s: float | None
    stale: bool  # whether other code than the package's made it
    rerun: str  # the full command that reruns it


def study_status(grid: Grid, root: Path, command: str) -> list[CellStatus]:
    """The status of every cell of a study, in the order of the plan.

    Args:
        grid: the study's grid.
        root: the working directory, which contains `results/`.
        command: options that follow the target in the rerun command, e.g. `--cores 2 --configfile x.yaml`.
    """
    layout = Layout(str(root / RESULTS))
    return [
        _status(path, layout, cell_code(planned.cell.method, planned.backbone.shape.family), command)
        for path, planned in grid.cells.items()
    ]


def _status(path: str, layout: Layout, code: str, command: str) -> CellStatus:
    outcome = cell_outcome(layout, path)
    # Progress is shown only while the cell runs.
    progress = outcome.status if outcome.phase == "running" else {}
    return CellStatus(
        cell=path,
        phase=outcome.phase,
        cause=outcome.cause,
        attempts=len(outcome.status.get("attempts", ())),
        step=progress.get("step"),
        steps=progress.get("steps"),
        loss=progress.get("loss"),
        dev=progress.get("dev"),
        left_s=progress.get("left_s"),
        stale=outcome.record is not None and outcome.record.hashes.get("code") != code,
        rerun=f"snakemake {shlex.quote(Layout().result(path))} {command}",
    )
