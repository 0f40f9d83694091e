"""What became of a cell, from the files that it left: the one answer that `petscale status` and tracking give.

Nothing is asked of a scheduler, and nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from petscale.artefacts.layout import Layout
from petscale.cells.lock import is_alive, read_holder
from petscale.cells.record import CellResult, read_result
from petscale.cells.state import Phase, read_status
from petscale.errors import BadInput

CellPhase = Literal[Phase, "pending"]

KILLED = "killed: the trainer ended without writing a cause (out of memory, SIGKILL or node failure)"
RECORD_IS_GONE = "it had ended, but its record (result.json) is gone; run the cell again"


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Attributes:
        phase: `done` or `diverged` by its record; without one `running`, `failed`, `interrupted` or `pending`.
        cause: one line, where there is something to tell.
        status: the document of its `status.json`; empty where there is none that can be read.
        record: its record, where it has one that can be read.
        damaged: the cell has a record that cannot be read; the phase is `failed`, the cause names file and key.
    """

    phase: CellPhase
    cause: str | None
    status: dict[str, Any]
    record: CellResult | None = None
    damaged: bool = False


def cell_outcome(layout: Layout, cell: str) -> Outcome:
    """Read what became of a cell.

    A record decides. Without one, a trainer that holds the cell's lock and lives says that the cell is running; else
    the last phase that the cell's state tells decides, and where there is no state, the log of the job.
    """
    state, result = Path(layout.state(cell)), Path(layout.result(cell))
    # The lock is asked before the files and after them: a trainer may begin or end while they are read.
    was_alive = _is_held(state)
    status = read_status(state) or {}
    if result.exists():
        try:
            record = read_result(result)
        except BadInput as error:
            if result.exists():
                return Outcome("failed", str(error), status, damaged=True)
            # It was removed just now, since the cell is run again.
        else:
            return Outcome(record.status, record.cause, status, record)
    if was_alive or _is_held(state):
        return Outcome("running", None, status)
    phase = status.get("phase")
    if phase == "running":
        return Outcome("failed", KILLED, status)
    if phase in ("failed", "interrupted"):
        return Outcome(phase, status.get("cause"), status)
    if phase in ("done", "diverged"):
        return Outcome("pending", RECORD_IS_GONE, status)
    # Nothing was told. A job that failed before its cell could begin (in the image, at the lock) left only its log.
    began = bool(status) or (state / "lock").exists()
    words = None if began else _last_line(Path(layout.log("train", cell)))
    return Outcome("failed" if words else "pending", words, status)


def _is_held(state: Path) -> bool:
    """Whether a living trainer holds the cell's lock."""
    holder = read_holder(state / "lock")
    return holder is not None and is_alive(state / "lock", holder)


def _last_line(log: Path) -> str | None:
    """The last line of a log that says something."""
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return None
    return next((line.strip() for line in reversed(lines) if line.strip()), None)
