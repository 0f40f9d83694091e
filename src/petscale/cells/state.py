"""The state folder of a cell: status, attempts and their logs. No rule declares it, so it survives every retry."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any, Literal

from petscale.artefacts.files import write_atomically

Phase = Literal["running", "done", "diverged", "failed", "interrupted"]


def now() -> str:
    """The time as ISO 8601, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class StateFolder:
    """The folder `results/state/<cell>/` with status.json, attempt-<n>.log, checkpoints and the spool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.status: dict[str, Any] = read_status(folder) or {"attempts": []}

    def begin(self) -> Path:
        """Open a new attempt; returns the path of its log."""
        attempts = self.status["attempts"]
        number = len(attempts) + 1
        attempts.append(
            {
                "attempt": number,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "job": os.environ.get("SLURM_JOB_ID"),
                "started": now(),
            }
        )
        self.tell("running", cause=None)
        return self.folder / f"attempt-{number}.log"

    def tell(self, phase: Phase, **changes: Any) -> None:
        """Write the phase and other changes (step, loss, dev, seconds left, cause) to status.json."""
        self.status.update(phase=phase, updated=now(), **changes)
        # The status is optional: a full disk must stop training at the checkpoint, where that is handled, but not here.
        with contextlib.suppress(OSError):
            write_atomically(self.folder / "status.json", json.dumps(self.status, indent=1) + "\n")

    def refresh(self) -> None:
        """Read the changes that another process wrote for the same attempt."""
        found = read_status(self.folder)
        if found is not None and len(found["attempts"]) == len(self.status["attempts"]):
            self.status = found

    def end(self, phase: Phase, cause: str | None = None) -> None:
        """End the attempt with its phase and its cause in one line."""
        self.status["attempts"][-1].update(ended=now(), outcome=phase, cause=cause)
        self.tell(phase, cause=cause)


def read_status(folder: Path) -> dict[str, Any] | None:
    """The status of a cell, or None if no attempt ever ran or the file is incomplete."""
    try:
        document = json.loads((folder / "status.json").read_text())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and isinstance(document.get("attempts"), list) else None
