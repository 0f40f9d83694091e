"""The fence of a cell: at most one live trainer, whatever the scheduler believes.

A lock names its holder (host, process, start of that process) and carries a heartbeat, the file's mtime. On the
holder's own host the process table decides whether it lives. Elsewhere the heartbeat does: who finds a fresh one waits
for the next, so that a trainer killed a moment ago does not cost its heir an attempt, and clocks of two machines need
not agree. Taking a stale lock over happens under an flock, so two heirs cannot both win (facts 5.3, design section 9).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from petscale.errors import BadInput, DuplicateTrainer

HEARTBEAT_S = 10.0
STALE_AFTER_S = 120.0
LISTEN_S = 5.0


@dataclass(frozen=True)
class Fence:
    """What a process that acts for the holder of a lock needs in order to know that it still does."""

    path: Path
    token: str

    def is_ours(self) -> bool:
        """Whether the lock on disk is still this one; asked again before anything is published."""
        holder = read_holder(self.path)
        return holder is not None and holder.get("token") == self.token

    def is_lost(self) -> bool:
        """Whether another trainer has, or had, the cell since; a lock that cannot be read for a moment is no proof."""
        holder = read_holder(self.path)
        return holder is None or ("token" in holder and holder["token"] != self.token)


class CellLock:
    """Context manager that holds `<state>/lock` and keeps its heartbeat going.

    Raises:
        DuplicateTrainer: on entry, when a live trainer holds the cell; the message names it.
    """

    def __init__(self, state: Path) -> None:
        self.path = state / "lock"
        self._guard = state / "lock.guard"
        self.fence = Fence(self.path, "")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> CellLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        silent = self._listen()
        with open(self._guard, "w") as guard:
            try:
                fcntl.flock(guard, fcntl.LOCK_EX)
            except OSError as error:
                raise BadInput(f"{self._guard}: this file system has no locks (flock: {error.strerror})") from None
            holder = read_holder(self.path)
            if holder is not None and holder.get("token", "") != silent and is_alive(self.path, holder):
                raise DuplicateTrainer(
                    f"{self.path}: held by process {holder.get('pid')} on {holder.get('host')} since "
                    f"{holder.get('since')}; this trainer leaves the cell to it"
                )
            self._write()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self.is_ours():
            self.path.unlink(missing_ok=True)

    def is_ours(self) -> bool:
        """Whether the lock on disk is still this one."""
        return self.fence.is_ours()

    def _listen(self) -> str | None:
        """The token of a holder on another host that gives no sign of life while one waits for it; else None."""
        holder = read_holder(self.path)
        if holder is None or _is_local(holder) or not is_alive(self.path, holder):
            return None
        if holder.get("job") and holder["job"] == os.environ.get("SLURM_JOB_ID"):
            return holder.get("token")  # this very job, requeued on another node
        seen, until = _heartbeat(self.path), time.monotonic() + STALE_AFTER_S
        while time.monotonic() < until:
            time.sleep(LISTEN_S)
            if _heartbeat(self.path) != seen:
                return None
        return holder.get("token")

    def _write(self) -> None:
        self.fence = Fence(self.path, f"{socket.gethostname()}:{os.getpid()}:{time.time_ns()}")
        document = {
            "token": self.fence.token,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": _start_of(os.getpid()),
            "job": os.environ.get("SLURM_JOB_ID"),
            "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        temporary = self.path.with_name(f".lock.{os.getpid()}")
        temporary.write_text(json.dumps(document))
        os.replace(temporary, self.path)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            if self.fence.is_lost():  # to beat on would keep the heir's lock alive after the heir
                return
            with contextlib.suppress(OSError):  # a file server that is away for a moment
                os.utime(self.path)


def _is_local(holder: dict[str, Any]) -> bool:
    return bool(holder.get("host") == socket.gethostname())


def _heartbeat(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def read_holder(path: Path) -> dict[str, Any] | None:
    """The document of a lock; None when there is none, an empty one when it cannot be read."""
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def is_alive(path: Path, holder: dict[str, Any]) -> bool:
    """Whether the holder of a lock still runs."""
    if _is_local(holder) and holder.get("started"):
        return bool(_start_of(holder.get("pid")) == holder["started"])
    try:
        return time.time() - path.stat().st_mtime < STALE_AFTER_S
    except OSError:
        return False


def _start_of(pid: object) -> str | None:
    """Boot and clock tick at which a process of this host began; None where it is gone, a zombie, or not told.

    Not a time of day: clocks are set, and a trainer would seem another process.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, ticks = fields[0], fields[19]
    return None if state == "Z" else f"{boot}:{ticks}"
