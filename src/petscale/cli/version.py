"""`petscale --version`: the version, and the commit of the checkout that runs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from petscale import __version__


class ShowVersion(argparse.Action):
    """Prints the version and ends; the commit is looked up only then, since git takes longer than small commands."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        """Print one line and exit with code 0."""
        print(version_line(Path(__file__).parents[3]))
        parser.exit()


def version_line(root: Path) -> str:
    """`petscale <version>`, and in parentheses the commit where `root` is a checkout or an image was told one."""
    from petscale.workspace.commit import VARIABLE, commit_of

    # A package inside another project's repository must not name that project's commit.
    known = bool(os.environ.get(VARIABLE)) or (root / ".git").exists()
    commit = commit_of(root) if known else None
    return f"petscale {__version__} (commit {commit})" if commit else f"petscale {__version__}"
