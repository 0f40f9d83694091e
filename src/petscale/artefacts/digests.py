"""Digests of files that are asked for at every start, so that large files are not read each time."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from petscale.artefacts.files import file_digest, write_atomically

SETTLED_S = 2.0
"""A file that changed a shorter time ago is not remembered: it may change again within one tick of its clock."""


class Digests:
    """SHA-256 of files, remembered for as long as path, size, times and inode of a file stay the same.

    The times are those of the last change of the content (mtime) and of the file's entry (ctime). A program can set the
    first one back, as `cp -p` and `rsync` do, but not the second. What no time shows is found by `read_again`.
    """

    def __init__(self, memory: Path | None = None, *, read_again: bool = False) -> None:
        """Begin with what is remembered.

        Args:
            memory: file in which digests are remembered, made when needed; None remembers nothing on disk. If it cannot
                be read or written, the files are read each time.
            read_again: whether to read every file once more, whatever is remembered of it.
        """
        self._memory = memory
        self._known: dict[str, list[int | str]] = {} if read_again or memory is None else _remembered(memory)

    def __call__(self, path: Path) -> str:
        """The SHA-256 of a file's content, in hexadecimal.

        Raises:
            OSError: the file cannot be read.
        """
        name, before = os.path.abspath(path), _marks(path)
        known = self._known.get(name)
        if known is not None and known[:-1] == before:
            return str(known[-1])
        started = time.time_ns()
        digest = file_digest(path)
        settled = max(map(int, before[1:3])) < started - SETTLED_S * 1e9
        if settled and _marks(path) == before:
            self._known[name] = [*before, digest]
            self._remember(name)
        return digest

    def _remember(self, name: str) -> None:
        if self._memory is None:
            return
        # Several processes may write at once. The last one wins, and what it lacks is only read once more.
        known = {**_remembered(self._memory), name: self._known[name]}
        with contextlib.suppress(OSError):
            write_atomically(self._memory, json.dumps(known, indent=0, sort_keys=True) + "\n")


def _marks(path: Path) -> list[int | str]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _remembered(memory: Path) -> dict[str, list[int | str]]:
    try:
        document = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {name: entry for name, entry in document.items() if isinstance(entry, list) and len(entry) == 5}
