"""The commit of the project that made a number, and the changes that were not committed."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
from pathlib import Path

from petscale.artefacts.files import write_atomically

log = logging.getLogger("petscale.commit")

VARIABLE = "PETSCALE_GIT"
"""Environment variable that passes the commit to every job, because an image contains no repository."""


def commit_of(root: Path) -> str | None:
    """The commit checked out at `root`; if tracked files differ from it, with `-dirty-` and a digest of the difference.

    None if `root` is no checkout or git is missing, because the project also works as a plain copy of the files.
    """
    if told := os.environ.get(VARIABLE):
        return told
    head, changes = (_git(root, "rev-parse", "HEAD") or "").strip() or None, _changes(root)
    if head is None and (root / ".git").exists():
        log.warning("%s: git does not tell the commit; records of cells will not name it", root)
    return f"{head}-dirty-{_digest(changes)}" if head and changes else head


def keep_changes(root: Path, folder: Path) -> Path | None:
    """Store the difference from the commit as `<digest>.diff` in `folder`; return its path, None without a difference.

    Records name that digest, and `git apply` of the file on the commit restores the code that ran.
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
        # Git refuses a tree of another user, whose settings could run programs; this code of that tree runs already.
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", str(root), *arguments], capture_output=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    # Decoded here, because subprocess would change the line endings, which belong to the difference.
    return done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else None
