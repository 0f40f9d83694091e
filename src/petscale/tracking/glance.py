"""A cheap look at a cell's files: its phase, its last attempt, and whether anything changed. Reads only; no mlflow."""

from __future__ import annotations

import calendar
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from petscale.artefacts.layout import Layout
from petscale.cells.lock import is_alive, read_holder
from petscale.cells.state import Phase, read_status
from petscale.errors import BadInput

KILLED = "killed: the trainer is gone without a word (out of memory, SIGKILL or node failure)"
SPOOLS = ("metrics.jsonl", "system.jsonl")
PUBLISHED = ("result.json", "curve.csv", "delta.safetensors", "predictions*.parquet", *SPOOLS)


@dataclass(frozen=True)
class Glance:
    """A cheap look at a cell: enough to know whether anything changed since it was last sent."""

    phase: str
    attempt: str
    cause: str | None
    attempts: int
    started_ms: int
    ended_ms: int | None
    folder: Path  # where the spools lie
    files: dict[str, Path]
    fingerprint: str


def glance(cell: str, root: str) -> Glance | None:
    """Look at a cell's files below `root` (the folder of results); None while no attempt ever ran.

    Raises:
        BadInput: `status.json` is damaged; the message names file and key.
        FileNotFoundError: a file vanished meanwhile.
    """
    layout = Layout(root)
    folder, state = Path(layout.result(cell)).parent, Path(layout.state(cell))
    told = _status(state)
    attempts: list[dict[str, Any]] = told.get("attempts", [])
    finished = (folder / "result.json").exists()
    if not attempts and not finished:
        return None
    cause: str | None = None
    if finished:
        phase = "done"  # or diverged: the record says which
        last = next((a for a in reversed(attempts) if a.get("outcome") in ("done", "diverged")), None)
        last = last or (attempts[-1] if attempts else {})
    else:
        last = attempts[-1]
        phase, cause = _unfinished(state, told)
    where = folder if finished else state
    names = PUBLISHED if finished else SPOOLS
    files = {path.name: path for name in names for path in sorted(where.glob(name))}
    files |= {f"logs/{path.name}": path for path in sorted(state.glob("attempt-*.log"))}
    if not finished and (state / "status.json").exists():
        files["status.json"] = state / "status.json"
    return Glance(
        phase=phase,
        attempt=f"{last['attempt']}@{last['started']}" if last else f"result {_digest(folder / 'result.json')}",
        cause=cause,
        attempts=len(attempts),
        started_ms=_milliseconds(attempts[0]["started"]) if attempts else 0,
        ended_ms=None if phase == "running" or not last.get("ended") else _milliseconds(last["ended"]),
        folder=where,
        files=files,
        fingerprint=_fingerprint(phase, files),
    )


def _status(state: Path) -> dict[str, Any]:
    """The document of `status.json`, checked as far as it is used here; empty where there is none."""
    path = state / "status.json"
    exists = path.exists()  # asked first: a trainer may make it meanwhile
    told = read_status(state)
    if told is None:
        if exists:
            raise BadInput(f"{path}: not a readable status of a cell")
        return {}
    for number, attempt in enumerate(told["attempts"]):
        place = f"{path}: key attempts.{number}"
        if not isinstance(attempt, dict):
            raise BadInput(f"{place}: not an attempt")
        if type(attempt.get("attempt")) is not int:
            raise BadInput(f"{place}.attempt: {attempt.get('attempt')!r} in place of a number")
        for name in ("started", "ended"):
            if (name in attempt or name == "started") and not _is_stamp(attempt.get(name)):
                raise BadInput(f"{place}.{name}: {attempt.get(name)!r} in place of a time")
    if told["attempts"] and told.get("phase") not in get_args(Phase):
        raise BadInput(f"{path}: key phase: {told.get('phase')!r} in place of {', '.join(get_args(Phase))}")
    if not isinstance(told.get("cause"), str | None):
        raise BadInput(f"{path}: key cause: {told['cause']!r} in place of one line")
    return told


def _unfinished(state: Path, told: Mapping[str, Any]) -> tuple[str, str | None]:
    """Phase and cause of a cell without a result: alive, stopped with a word, or gone without one."""
    holder = read_holder(state / "lock")
    if holder is not None and is_alive(state / "lock", holder):
        return "running", None
    if told.get("phase") in ("failed", "interrupted"):
        return told["phase"], told.get("cause")
    return "failed", KILLED


def _fingerprint(phase: str, files: Mapping[str, Path]) -> str:
    """Digest of names, sizes and times of the files: a receipt that carries it is up to date."""
    rows: list[Any] = [phase]
    for name, path in sorted(files.items()):
        found = path.stat()
        rows.append([name, found.st_size, found.st_mtime_ns])
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _is_stamp(value: Any) -> bool:
    """Whether a value is a time as state folders write it."""
    try:
        return isinstance(value, str) and bool(time.strptime(value, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return False


def _milliseconds(stamp: str) -> int:
    """Epoch milliseconds of a state folder's time stamp."""
    return calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")) * 1000
