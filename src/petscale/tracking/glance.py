"""A quick look at a cell's files: its phase, its last attempt, and whether anything changed since it was sent."""

from __future__ import annotations

import calendar
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from petscale.artefacts.layout import RECORD, Layout
from petscale.cells.phase import CellPhase, cell_outcome
from petscale.cells.published import SPOOLS, published
from petscale.cells.record import CellResult
from petscale.cells.state import Phase
from petscale.errors import BadInput


@dataclass(frozen=True)
class Glance:
    """What a quick look at a cell shows, which is enough to know whether anything changed since it was sent."""

    phase: CellPhase
    attempt: str
    cause: str | None
    attempts: int
    started_ms: int
    ended_ms: int | None
    folder: Path  # folder that contains the spools
    files: dict[str, Path]
    fingerprint: str
    record: CellResult | None  # of a cell that has ended


def glance(cell: str, root: str) -> Glance | None:
    """Look at a cell's files below `root` (the folder of results); None if there is nothing to track.

    A pending cell has nothing to track, even if it ran before and its record was removed so that it runs again: the
    store keeps the earlier run until the next attempt begins.

    Raises:
        BadInput: the record or `status.json` is damaged; the message names file and key.
        FileNotFoundError: a file vanished meanwhile.
    """
    layout = Layout(root)
    folder, state = Path(layout.cell(cell)), Path(layout.state(cell))
    existed = (state / "status.json").exists()  # tested first, because a trainer may write it meanwhile
    outcome = cell_outcome(layout, cell)
    if outcome.damaged:
        raise BadInput(str(outcome.cause))
    told, record = outcome.status, outcome.record
    _check(state / "status.json", told, existed)
    attempts: list[dict[str, Any]] = told.get("attempts", [])
    if outcome.phase == "pending" or (not attempts and record is None):
        return None
    last = attempts[-1] if attempts else {}
    if record is not None:
        last = next((a for a in reversed(attempts) if a.get("outcome") in ("done", "diverged")), last)
        where, found = folder, [folder / RECORD, *published(folder)]
    else:
        where, found = state, [path for path in (state / name for name in SPOOLS) if path.exists()]
    files = {path.name: path for path in found}
    files |= {f"logs/{path.name}": path for path in sorted(state.glob("attempt-*.log"))}
    if record is None and (state / "status.json").exists():
        files["status.json"] = state / "status.json"
    return Glance(
        phase=outcome.phase,
        attempt=f"{last['attempt']}@{last['started']}" if last else f"result {_digest(folder / RECORD)}",
        cause=outcome.cause,
        attempts=len(attempts),
        started_ms=_milliseconds(attempts[0]["started"]) if attempts else 0,
        ended_ms=None if outcome.phase == "running" or not last.get("ended") else _milliseconds(last["ended"]),
        folder=where,
        files=files,
        fingerprint=_fingerprint(outcome.phase, files),
        record=record,
    )


def _check(path: Path, told: Mapping[str, Any], existed: bool) -> None:
    """Check the keys of a `status.json` that are used here; the document is empty if the file cannot be read.

    Raises:
        BadInput: the file is damaged; the message names file and key.
    """
    if not told:
        if existed:
            raise BadInput(f"{path}: not a readable status of a cell")
        return
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


def _fingerprint(phase: str, files: Mapping[str, Path]) -> str:
    """Digest of names, sizes and times of the files; a receipt with an equal one is up to date."""
    rows: list[Any] = [phase]
    for name, path in sorted(files.items()):
        found = path.stat()
        rows.append([name, found.st_size, found.st_mtime_ns])
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _is_stamp(value: Any) -> bool:
    """Whether a value is a time in the format of state folders."""
    try:
        return isinstance(value, str) and bool(time.strptime(value, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return False


def _milliseconds(stamp: str) -> int:
    """Epoch milliseconds of a state folder's time stamp."""
    return calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")) * 1000
