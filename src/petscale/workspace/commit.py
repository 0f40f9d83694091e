"""Which commit of the project made a number."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

VARIABLE = "PETSCALE_GIT"
"""Environment variable by which the driver tells every job the commit: an image holds no repository."""


def commit_of(root: Path) -> str | None:
    """The commit checked out at `root`, with `-dirty` where tracked files differ from it.

    None where `root` is no checkout or git is missing: a copy of the files is still a working project.
    """
    if told := os.environ.get(VARIABLE):
        return told
    head, changed = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "--untracked-files=no")
    return f"{head}-dirty" if head and changed else head


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
