"""The phase of a cell (done, running, failed, ...), read from its files; `petscale status` and tracking both use it.

No scheduler is asked, and nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from petscale.artefacts.layout import Layout
from petscale.cells.lock import is_alive, read_holder
from petscale.cells.record import CellResult, read_result
from petscale.cells.state import Phase, read_status
from petscale.errors import NOTE, STOPPED_BY_HAND, BadInput

CellPhase = Literal[Phase, "pending"]

KILLED = "killed: the trainer ended without writing a cause (out of memory, SIGKILL or node failure)"
RECORD_IS_GONE = "it had ended, but its record (result.json) is gone; run the cell again"


@dataclass(frozen=True)
class Outcome:
    """The phase of a cell and its cause.

    Attributes:
        phase: `done` or `diverged` according to its record; without a record `running`, `failed`, `interrupted` or
            `pending`.
        cause: the cause in one line, if there is one.
        status: the document of its `status.json`; empty if there is none or it cannot be read.
        record: its record, if there is one that can be read.
        damaged: whether the record cannot be read; the phase is then `failed`, and the cause names file and key.
    """

    phase: CellPhase
    cause: str | None
    status: dict[str, Any]
    record: CellResult | None = None
    damaged: bool = False


def cell_outcome(layout: Layout, cell: str) -> Outcome:
    """Read the phase of a cell.

    If there is a record, it decides. Otherwise the cell is running if a live trainer holds its lock. Otherwise the last
    phase in its state folder decides, and without such a folder the log of the job.
    """
    state, result = Path(layout.state(cell)), Path(layout.result(cell))
    # The lock is read both before and after the files, because a trainer may begin or end meanwhile.
    was_alive = _is_held(state)
    status = read_status(state) or {}
    if result.exists():
        try:
            record = read_result(result)
        except BadInput as error:
            if result.exists():
                return Outcome("failed", str(error), status, damaged=True)
            # The record was removed just now, because the cell runs again.
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
    # There is no status. A job that failed before its cell could begin (in the image, at the lock) left only its log.
    began = bool(status) or (state / "lock").exists()
    words = None if began else last_line(Path(layout.log("train", cell)))
    if words in ("KeyboardInterrupt", f"petscale: {STOPPED_BY_HAND}"):
        return Outcome("interrupted", STOPPED_BY_HAND, status)
    return Outcome("failed" if words else "pending", words, status)


def _is_held(state: Path) -> bool:
    """Whether a living trainer holds the cell's lock."""
    holder = read_holder(state / "lock")
    return holder is not None and is_alive(state / "lock", holder)


def last_line(log: Path) -> str | None:
    """The last line of a log that is neither empty nor a note."""
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return None
    return next((line.strip() for line in reversed(lines) if line.strip() and not line.startswith(NOTE)), None)
