"""The spool: a file with the metrics of a cell, one JSON object per line, each with the time of its measurement.

Training writes its metrics only here; `petscale track` sends them to MLflow later. A checkpoint contains the length and
digest of the spool, and a resumed attempt continues a copy of that part, so that no step is recorded twice. This holds
even if a trainer has lost the cell and does not know it yet, because it still writes to the file that was replaced.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from petscale.artefacts.files import write_atomically


class Spool:
    """Append-only metrics of one cell."""

    def __init__(self, path: Path, *, resume_at: int = 0) -> None:
        """Open `path` and keep its first `resume_at` bytes (0 starts an empty file)."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _head(path, resume_at))
        self._file = open(path, "ab")  # noqa: SIM115  open for the life of the cell

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append one record for each metric. Non-finite values are written as strings, since JSON has none."""
        ts = time.time_ns() // 1_000_000
        for key, value in metrics.items():
            told: float | str = float(value) if math.isfinite(value) else str(float(value))
            line = json.dumps({"ts": ts, "step": step, "key": key, "value": told})
            self._file.write(line.encode() + b"\n")
        self._file.flush()  # readers follow the file, and a kill then loses at most one line

    def sync(self) -> int:
        """Make everything written so far durable; returns the spool's length in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Write what is still in memory to the disk, and close the file."""
        self.sync()
        self._file.close()


def spool_digest(path: Path, length: int) -> str | None:
    """SHA-256 of the first `length` bytes of a spool; None if it is shorter."""
    data = _head(path, length)
    return hashlib.sha256(data).hexdigest() if len(data) == length else None


def _head(path: Path, length: int) -> bytes:
    try:
        with open(path, "rb") as handle:
            return handle.read(length)
    except FileNotFoundError:
        return b""


def read_spool(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a spool. An incomplete last line (from a kill during a write) is left out."""
    with open(path, "rb") as handle:
        for line in handle:
            if not line.endswith(b"\n"):
                return
            record = json.loads(line)
            record["value"] = float(record["value"])
            yield record
