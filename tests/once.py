"""Makes slow test inputs once per test run, shared by the processes of `pytest -n`."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills, by the process that asks first; the others wait for it. Nobody changes it after.

    Args:
        factory: pytest's.
        name: of the folder; one name, one content.
        make: fills the folder, which exists and is empty. When it raises, the next process tries anew.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each process has a folder of its own below that of the run
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        whole = base / f"{name}.whole"
        if not whole.exists():
            folder = base / f"{name}-{os.getpid()}"
            folder.mkdir()
            make(folder)
            whole.symlink_to(folder, target_is_directory=True)
        return whole.resolve()
