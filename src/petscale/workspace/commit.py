"""Which commit of the project made a number."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from petscale.artefacts.files import write_atomically

VARIABLE = "PETSCALE_GIT"
"""Environment variable by which the driver tells every job the commit: an image holds no repository."""


def commit_of(root: Path) -> str | None:
    """The commit checked out at `root`; where tracked files differ from it, `-dirty-` and the digest of how.

    None where `root` is no checkout or git is missing: a copy of the files is still a working project.
    """
    if told := os.environ.get(VARIABLE):
        return told
    head, changes = (_git(root, "rev-parse", "HEAD") or "").strip() or None, _changes(root)
    return f"{head}-dirty-{_digest(changes)}" if head and changes else head


def keep_changes(root: Path, folder: Path) -> Path | None:
    """Keep what differs from the commit as `<digest>.diff` in `folder`, for the records that name it; None if nothing.

    `git apply` on that commit gives back the code that ran.
    """
    changes = _changes(root)
    if not changes:
        return None
    path = folder / f"{_digest(changes)}.diff"
    if not path.exists():
        write_atomically(path, changes.encode(errors="surrogateescape"))
    return path


def _changes(root: Path) -> str | None:
    return _git(root, "diff", "HEAD", "--binary", "--no-color", "--no-ext-diff")


def _digest(changes: str) -> str:
    return hashlib.sha256(changes.encode(errors="surrogateescape")).hexdigest()[:12]


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    # Decoded by hand: ends of lines belong to a difference.
    return done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else None
