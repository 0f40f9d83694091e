"""One trial: a change in a copy of the project, and whether the tests notice it.

The copy's tests run in a fork of a process that has the large libraries loaded, which takes a second of each trial and
not ten. Nothing of the project itself is loaded before the fork.
"""

from __future__ import annotations

import gc
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path("src/petscale")
LIBRARIES = (
    "hypothesis",
    "pandas",
    "pyarrow.parquet",
    "pydantic",
    "pytest",
    "safetensors.torch",
    "scipy.stats",
    "torch",
    "transformers.models.bert.modeling_bert",
    "transformers.models.t5.modeling_t5",
)


@dataclass(frozen=True)
class Outcome:
    """What the tests said of a copy: the first test that failed, or None where all of them passed."""

    killed_by: str | None
    seconds: float


class Copy:
    """A copy of the project's files in a folder of its own, to be changed at will."""

    def __init__(self, root: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="petscale-mutants-"))
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (root / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, self.folder / name)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def test(self, tests: list[str], limit_s: float, *, compiles: bool = False) -> Outcome:
        """Run tests until one fails. A run over its limit counts as noticed: the change made it hang.

        Args:
            tests: below the copy's `tests`.
            limit_s: seconds.
            compiles: keep the bytecode of what is imported; for unchanged code.
        """
        started = time.monotonic()
        said = self.folder / "said.txt"
        child = os.fork()
        if child == 0:
            os.setsid()
            self._run(tests, said, compiles)
        code = _wait(child, started + limit_s)
        seconds = time.monotonic() - started
        if code == 0:
            return Outcome(None, seconds)
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", said.read_text(errors="replace"), re.MULTILINE)
        return Outcome("out of time" if code is None else failed[1] if failed else f"exit code {code}", seconds)

    def _run(self, tests: list[str], said: Path, compiles: bool) -> None:
        """The forked process: never returns."""
        code = 70
        try:
            output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(self.folder)
            # Bytecode of a changed file would outlive the change, so only the unchanged code's is written. Python
            # takes it for a file of the same time and size, and a file that was changed is younger.
            sys.dont_write_bytecode = not compiles
            os.environ |= {"PYTHONPATH": str(self.folder / "src")}
            os.environ |= {} if compiles else {"PYTHONDONTWRITEBYTECODE": "1"}
            _same_examples()
            sys.path.insert(0, str(self.folder / "src"))
            import pytest

            code = int(pytest.main(["-x", "-q", "--tb=no", "-p", "no:cacheprovider", *(f"tests/{t}" for t in tests)]))
        finally:
            sys.stdout.flush()
            os._exit(code)


def _same_examples() -> None:
    """Make hypothesis try the same examples in each trial, stop at the first that fails, and look at no clock."""
    from hypothesis import Phase, settings

    os.environ.pop("CI", None)  # else tests/conftest.py chooses another profile
    settings.register_profile("mutants", derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate])
    settings.load_profile("mutants")


def _wait(child: int, until: float) -> int | None:
    """Exit code of a process; None where it had to be killed because its time was over."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.02)


def load_libraries() -> None:
    """Load what all trials need and no change touches."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in LIBRARIES:
        importlib.import_module(name)
    loaded = [name for name in sys.modules if name.partition(".")[0] == "petscale"]
    assert not loaded, f"loaded before the copy is: {loaded[0]}"
    gc.freeze()  # pytest looks for garbage several times a run; without this it would look through the libraries too
