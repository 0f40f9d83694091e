"""Files that `track` keeps.

They are a receipt for each cell that was sent, the identifier of the folder of results, and the lock that only one
writer can hold.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from petscale.artefacts.files import write_atomically
from petscale.artefacts.layout import Layout
from petscale.errors import BadInput, DuplicateTrainer

WAIT_S = 600.0


@dataclass(frozen=True)
class Receipt:
    """Records that a store holds a cell in the state that its files had (`fingerprint`)."""

    cell: str
    store: str  # Store.identity, which differs for a store that was deleted and created again
    run: str
    attempt: str
    status: str
    fingerprint: str
    metrics: int
    claims: dict[str, str]  # tags of the studies that contain the cell
    root: str  # root_id


def read_receipt(root: str, cell: str) -> Receipt | None:
    """The receipt of a cell; None if there is none or it has another format."""
    try:
        return Receipt(**json.loads(Path(Layout(root).tracked(cell)).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_receipt(root: str, receipt: Receipt) -> None:
    """Store what was sent of a cell, in place of an earlier receipt.

    Args:
        root: the folder of results.
        receipt: what was sent, with the digests of the files.
    """
    write_atomically(Path(Layout(root).tracked(receipt.cell)), json.dumps(asdict(receipt), indent=1) + "\n")


def drop_receipt(root: str, cell: str) -> None:
    """Delete the receipt of a cell, so that the next `track` sends it again."""
    Path(Layout(root).tracked(cell)).unlink(missing_ok=True)


def root_id(root: str, *, make: bool = True) -> str:
    """The identifier that distinguishes the runs of this folder of results from those of others in the same store.

    Its file is in the folder itself and moves with it. It is outside `tracking/`, because a user may delete that folder
    to send everything again, and then the runs must still be found.

    Args:
        root: the folder of results.
        make: whether to create an identifier if there is none, which is allowed only inside `one_writer`. Without it,
            the result is then empty.

    Raises:
        BadInput: the file is not one that this function wrote.
    """
    path = Path(Layout(root).identifier())
    try:
        found = path.read_text().strip()
    except FileNotFoundError:
        if not make:
            return ""
        found = secrets.token_hex(8)
        write_atomically(path, found + "\n")
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read ({error})") from None
    if not re.fullmatch(r"[0-9a-f]{16}", found):
        raise BadInput(f"{path}: {found[:40]!r} in place of 16 hexadecimal digits")
    return found


@contextlib.contextmanager
def one_writer(root: str, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the lock of the only writer; other writers wait for it. The kernel releases it when the holder dies.

    Raises:
        DuplicateTrainer: another writer held the lock for `wait_s` seconds.
    """
    path = Path(Layout(root).writer_lock())
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as handle:
        until, told = time.monotonic() + wait_s, False
        while not _taken(handle.fileno()):
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            if time.monotonic() > until:
                raise DuplicateTrainer(
                    f"{path}: {holder} has been writing for {wait_s:.0f} s; this one leaves it to it"
                )
            if not told:
                print(f"petscale: waiting for {holder} to finish tracking", file=sys.stderr)
                told = True
            time.sleep(0.1)
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        handle.flush()
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
