"""The lock of a cell, which allows only one live trainer, whatever the scheduler does.

A lock names its holder (host, process, start of that process) and has a heartbeat, which is the file's mtime. On the
host of the holder, the process table shows whether the holder lives. On another host the heartbeat does: a trainer that
finds a recent heartbeat waits for the next one. So it need not give up when the holder was killed a moment ago, and the
clocks of two machines need not agree. A stale lock is taken over under an flock, so that only one process can do it.
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
    """Tells a process that works for the holder of a lock whether the lock is still held."""

    path: Path
    token: str

    def is_ours(self) -> bool:
        """Whether the lock on disk is still this one; this is checked again before anything is published."""
        holder = read_holder(self.path)
        return holder is not None and holder.get("token") == self.token

    def is_lost(self) -> bool:
        """Whether another trainer took the cell over since; a lock that cannot be read at the moment does not count."""
        holder = read_holder(self.path)
        return holder is None or ("token" in holder and holder["token"] != self.token)


class CellLock:
    """Context manager that holds `<state>/lock` and keeps its heartbeat going.

    Raises:
        DuplicateTrainer: a live trainer holds the cell (on entry); the message names it.
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
        """Wait for a holder on another host; return its token if it gives no heartbeat meanwhile, otherwise None."""
        holder = read_holder(self.path)
        if holder is None or _is_local(holder) or not is_alive(self.path, holder):
            return None
        if holder.get("job") and holder["job"] == os.environ.get("SLURM_JOB_ID"):
            return holder.get("token")  # the same job, requeued on another node
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
            if self.fence.is_lost():  # going on would keep the new holder's lock alive even after that one dies
                return
            with contextlib.suppress(OSError):  # the file server may be unavailable for a moment
                os.utime(self.path)


def _is_local(holder: dict[str, Any]) -> bool:
    return bool(holder.get("host") == socket.gethostname())


def _heartbeat(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def read_holder(path: Path) -> dict[str, Any] | None:
    """The document of a lock; None if there is no lock, an empty document if it cannot be read."""
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
    """Boot and clock tick at which a process of this host began; None if it is gone, a zombie, or cannot be read.

    A time of day is not used: the clock may be set, and then the same trainer would look like another process.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, ticks = fields[0], fields[19]
    return None if state == "Z" else f"{boot}:{ticks}"
