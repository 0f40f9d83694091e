"""The environment of jobs: no module of the working directory, and a name for every user."""

from __future__ import annotations

import getpass
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from petscale.workspace.surroundings import settle_environment


def test_a_script_of_the_user_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against `random.py` or `datasets/` beside the study file."""
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    (tmp_path / "random.py").write_text("raise SystemExit('of the user')")
    words = [sys.executable, "-m", "petscale", "--version"]
    assert subprocess.run([*words[:1], "-c", "import random"], cwd=tmp_path, capture_output=True).returncode != 0
    settle_environment()
    assert subprocess.run(words, cwd=tmp_path, capture_output=True).returncode == 0
    assert subprocess.run([*words[:1], "-c", "import random"], cwd=tmp_path, capture_output=True).returncode == 0


def test_a_uid_without_a_name_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setenv("PYTHONSAFEPATH", "1")  # so that it is put back
    settle_environment()
    assert getpass.getuser() == f"uid-{os.getuid()}"
    monkeypatch.delenv("LOGNAME")
