"""Commands in odd surroundings give one line: outputs that cannot be written, terminals without letters, Ctrl-C."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from petscale.cli import plan
from petscale.cli.main import main
from petscale.errors import STOPPED_BY_HAND, Exit

STUDY = (
    "{name: one, description: é ≥ 你, ladders: [{name: T5, backbones: [mini-t5-small]}], tasks: [mini-sentiment], "
    "data: {source: mini}, seeds: [1], experiments: {methods: {methods: [lora]}}}"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "é ≥.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def run(folder: Path, *words: str, out: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """`petscale` as a user starts it; `out` is the file that its output goes to."""
    with open(out or folder / "out", "w") as stdout:
        return subprocess.run(
            [sys.executable, "-P", "-m", "petscale", *words],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )


@pytest.mark.parametrize("command", ["status", "plan", "schema"])
def test_a_full_device(folder: Path, command: str) -> None:
    words = [command] if command == "schema" else [command, "é ≥.yaml"]
    done = run(folder, *words, out="/dev/full")
    assert done.returncode == 1
    assert done.stderr == "petscale: standard output or results/: No space left on device\n"


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
    ids=str,
)
def test_a_terminal_without_letters(folder: Path, environment: dict[str, str]) -> None:
    """The command still prints what it can, and nothing of Python's own."""
    done = run(folder, "status", "é ≥.yaml", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert b"1 cells: 1 pending" in (folder / "out").read_bytes()
    done = run(folder, "plan", "你.yaml", **environment)
    assert done.returncode == 2
    assert done.stderr.startswith("petscale: ")
    assert done.stderr.count("\n") == 1


def test_a_home_that_cannot_be_written_and_a_user_without_a_name(folder: Path) -> None:
    gone = dict.fromkeys(("USER", "LOGNAME", "USERNAME", "LNAME"), "")
    done = run(folder, "status", "é ≥.yaml", HOME="/proc/no-home", XDG_CACHE_HOME="/proc/no-cache", **gone)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_gives_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(plan, "run", pressed)
    assert main(["plan", str(folder / "é ≥.yaml")]) == Exit.INTERRUPTED
    assert capsys.readouterr().err == f"petscale: {STOPPED_BY_HAND}\n"
