"""What became of the cells of a study, from the files they leave; nothing is asked of a scheduler."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petscale.artefacts.layout import Layout
from petscale.cells.lock import is_alive, read_holder
from petscale.cells.record import read_result
from petscale.cells.state import read_status
from petscale.errors import BadInput
from petscale.study.grid import Grid
from petscale.study.stages import code_digest

KILLED = "killed: the trainer is gone without a word (out of memory, SIGKILL or node failure)"


@dataclass(frozen=True)
class CellStatus:
    """One cell: `done`, `diverged`, `failed`, `interrupted`, `running` or `pending`, and why."""

    cell: str
    phase: str
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
    layout, code = Layout(), code_digest("train")
    return [_status(path, root, layout, code, command) for path in grid.cells]


def _last_words(log: Path) -> str | None:
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return None
    return next((line.strip() for line in reversed(lines) if line.strip()), None)


def _status(path: str, root: Path, layout: Layout, code: str, command: str) -> CellStatus:
    result, state = root / layout.result(path), root / layout.state(path)
    told: dict[str, Any] = read_status(state) or {}
    phase, cause, stale = "pending", None, False
    if result.exists():
        try:
            record = read_result(result)
        except BadInput as error:
            phase, cause = "failed", str(error)
        else:
            phase, cause = record.status, record.cause
            stale = record.hashes.get("code") != code
    else:
        holder = read_holder(state / "lock")
        if holder is not None and is_alive(state / "lock", holder):
            phase = "running"
        elif told.get("phase") == "running":
            phase, cause = "failed", KILLED
        elif told.get("phase") in ("failed", "interrupted"):
            phase, cause = told["phase"], told.get("cause")
        elif not told and holder is None and (words := _last_words(root / layout.log("train", path))):
            phase, cause = "failed", words  # before it could begin: in the image, at the fence
    running = phase == "running"
    return CellStatus(
        cell=path,
        phase=phase,
        cause=cause,
        attempts=len(told.get("attempts", ())),
        step=told.get("step") if running else None,
        steps=told.get("steps") if running else None,
        loss=told.get("loss") if running else None,
        dev=told.get("dev") if running else None,
        left_s=told.get("left_s") if running else None,
        stale=stale,
        rerun=f"snakemake {shlex.quote(layout.result(path))} {command}",
    )
