"""Completion in a shell, through argcomplete's protocol: the line in COMP_LINE, the answer on file descriptor 8."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from petscale.cli.main import COMMANDS


def completions(line: str, folder: Path) -> set[str]:
    """What a shell would offer behind `line`."""
    answer = folder / "answer"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    done = subprocess.run([sys.executable, "-m", "petscale"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {word.strip() for word in answer.read_text().split("\n") if word.strip()}


def test_commands(tmp_path: Path) -> None:
    assert set(COMMANDS) <= completions("petscale ", tmp_path)
    assert completions("petscale st", tmp_path) == {"status", "stages"}


@pytest.mark.parametrize(("line", "offered"), [("petscale plan --j", "--json"), ("petscale status --st", "--stale")])
def test_options_are_those_of_the_command(line: str, offered: str, tmp_path: Path) -> None:
    assert completions(line, tmp_path) == {offered}
