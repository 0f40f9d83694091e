"""What became of the cells of a study, from the files they leave; nothing is asked of a scheduler."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from petscale.artefacts.layout import RESULTS, Layout
from petscale.cells.phase import CellPhase, cell_outcome
from petscale.study.grid import Grid
from petscale.study.stages import code_digest


@dataclass(frozen=True)
class CellStatus:
    """What `petscale status` says of one cell: what became of it and why, and how far it is while it runs."""

    cell: str
    phase: CellPhase
    cause: str | None
    attempts: int
    step: int | None
    steps: int | None
    loss: float | None
    dev: float | None
    left_s: float | None
    stale: bool  # made by other code than the package's
    rerun: str  # the full command


def study_status(grid: Grid, root: Path, command: str) -> list[CellStatus]:
    """The status of every cell of a study, in the order of the plan.

    Args:
        grid: the study's grid.
        root: the working directory in which `results/` lies.
        command: options that follow the target in the rerun command, e.g. `--cores 2 --configfile x.yaml`.
    """
    layout, code = Layout(str(root / RESULTS)), code_digest("train")
    return [_status(path, layout, code, command) for path in grid.cells]


def _status(path: str, layout: Layout, code: str, command: str) -> CellStatus:
    outcome = cell_outcome(layout, path)
    # How far it is matters only while the cell runs.
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
