"""Fixtures of the cluster tests: a study folder, drivers in it, and a record of which job trains which cell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

STUDY: dict[str, Any] = {
    "name": "tiny",
    "ladders": [{"name": "mini-t5", "backbones": ["mini-t5-small-random", "mini-t5-base-random"]}],
    "tasks": ["mini-sentiment"],
    "data": {"source": "mini", "dev_size": 20, "max_train": 64, "max_test": 20},
    "seeds": [1, 2],
    "recipe": {"steps": 4, "evaluate_every": 2, "learning_rate": 1e-3, "learning_rate_by_task": {}},
    "experiments": {"methods": {"methods": ["full", "bitfit", "lora"]}},
    "hardware": {"gpus": True, "startup_s": 5.0},
}
CELLS = 12  # four jobs of three cells, of which two run at once: enough for a job to be cancelled, requeued, preempted
# The profile as users have it, but for times: this node is idle and its disk is local.
QUICK = ("--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "10", "--retries", "1",
         "--group-components", "cells=3")  # fmt: skip


@dataclass
class Folder:
    """A working directory of the project's Snakefile, with the tiny study in it."""

    root: Path
    path: Path
    environment: dict[str, str]
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.change()
        self.log = self.path / "driver.log"

    def change(self, **changes: Any) -> None:
        """Write the tiny study anew, with other values."""
        (self.path / "study.yaml").write_text(yaml.safe_dump({**STUDY, **changes}))

    def snakemake(self, *words: str) -> list[str]:
        """The command of a driver; it stands in the project's root, where the profile is found."""
        return [sys.executable, "-m", "snakemake", *words, "--directory", str(self.path),
                "--configfile", str(self.path / "study.yaml")]  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A driver in the background, in a process group of its own."""
        with self.log.open("a") as log:
            return subprocess.Popen(
                self.snakemake(*words), cwd=self.root, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )  # fmt: skip

    def run(self, *words: str, timeout: float = 1_200) -> int:
        driver = self.start(*words)
        try:
            return driver.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(driver.pid, signal.SIGKILL)
            pytest.fail(f"the driver hangs: {self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def petscale(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "petscale", *words], cwd=self.path, env=self.environment,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.petscale("status", "study.yaml", "--profile", "slurm", "--json"))
        return told

    def results(self) -> dict[str, dict[str, Any]]:
        """Cell -> record, of the cells that have one."""
        base = self.path / "results" / "cells"
        return {str(path.parent.relative_to(base)): json.loads(path.read_text()) for path in base.rglob("result.json")}


class Eye:
    """Looks several times a second which cells have a live trainer on this node."""

    def __init__(self, folder: Path) -> None:
        self.most: Counter[str] = Counter()
        self.places: set[str] = set()
        self._folder, self._stop = folder, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Eye:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            live = Counter(cell for cell in map(self._cell, psutil.process_iter()) if cell)
            for cell, count in live.items():
                self.most[cell] = max(self.most[cell], count)

    def _cell(self, process: psutil.Process) -> str | None:
        try:
            words = process.cmdline()
            if "python" not in Path(words[0]).name or words[1:4] != ["-m", "petscale", "train"]:
                return None
            environment = process.environ()
            if process.cwd() != str(self._folder) or process.ppid() == 0:
                return None
        except (psutil.Error, IndexError, OSError):
            return None
        self.places.add(f"{environment.get('APPTAINER_NAME')} on GPU {environment.get('CUDA_VISIBLE_DEVICES')}")
        return words[4]


def slurm(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout


def jobs(state: str, kind: str = "cells-") -> list[str]:
    """Identifiers of the jobs of cells in a state, or of groups of another kind."""
    told = slurm("squeue", "--noheader", "--states", state, "--format=%i|%k").split()
    return [line.split("|")[0] for line in told if (kind == "cells-" and "rule_train" in line) or kind in line]


def wait_for(what: str, ready: Callable[[], Any], folder: Folder, timeout: float = 600) -> Any:
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        found = ready()
        if found:
            return found
        time.sleep(0.3)
    pytest.fail(f"no {what} within {timeout:.0f} s: {folder.tail()}")


@pytest.fixture(scope="session")
def image() -> Path:
    path = os.environ.get("PETSCALE_CLUSTER_IMAGE")
    if not path:
        pytest.skip("no cluster: `make test-cluster` sets one up")
    return Path(path)


@pytest.fixture(scope="session")
def make_folder(root: Path, image: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Folder]:
    def make(name: str) -> Folder:
        path = tmp_path_factory.mktemp(name)
        home = tmp_path_factory.mktemp(f"{name}-home")
        site = home / "site.yaml"
        site.write_text(yaml.safe_dump({"image": str(image), "partition": "gpu"}))
        environment = {**os.environ, "HOME": str(home), "PETSCALE_SITE": str(site), "PYTHONPATH": str(root / "src")}
        environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment.pop("OMP_NUM_THREADS", None)
        return Folder(root, path, environment)

    return make


@pytest.fixture(scope="session")
def local(make_folder: Callable[[str], Folder]) -> Folder:
    """The same study on this machine without Slurm and without the image."""
    folder = make_folder("local")
    assert folder.run("cells", "--cores", "2", "--quiet", "all") == 0, folder.tail()
    return folder


@pytest.fixture(autouse=True)
def idle_node() -> Iterator[None]:
    """Whatever a test did to the node, the next finds it as it was."""
    yield
    if os.environ.get("PETSCALE_CLUSTER_IMAGE"):
        subprocess.run(["scancel", "--me"], capture_output=True, timeout=60)
        subprocess.run(["scontrol", "update", f"nodename={os.uname().nodename}", "state=resume"], capture_output=True)
