"""A command in the warm worker behaves the same as in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from petscale.artefacts.canonical import canonical
from petscale.study.cell import Cell
from petscale.training import warm
from training.bench import Bench, make_cell


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A worker of these tests' own, which serves one after the other and is ended after the last."""
    folder = tmp_path_factory.mktemp("worker")
    env = {**os.environ, "TMPDIR": str(folder), "PETSCALE_WORKER": "1"}
    env.pop("SLURM_JOB_ID", None)
    yield env
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in " ".join(process.info["cmdline"] or ()):
            process.kill()


def command(bench: Bench, cell: Cell) -> list[str]:
    inputs = bench.inputs["t5"]
    return [
        sys.executable, "-m", "petscale", "train", cell.path, "--warm", "--spec", canonical(cell.spec()),
        "--tokens", str(inputs.tokens / "tokens.json"), "--backbone", str(inputs.backbone / "backbone.json"),
    ]  # fmt: skip


def wait_for(path: Path, seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while not path.exists() or path.stat().st_size == 0:  # an empty spool is opened before the first step
        assert time.monotonic() < until, f"{path} did not appear"
        time.sleep(0.02)


def test_cells_of_one_worker_give_what_a_process_gives(
    bench: Bench, tmp_path: Path, environment: dict[str, str]
) -> None:
    cell = make_cell("t5", "lora")
    records = []
    for name, worker in (("one", "1"), ("two", "1"), ("alone", "0")):
        folder = tmp_path / name
        folder.mkdir()
        env = {**environment, "PETSCALE_WORKER": worker}
        done = subprocess.run(command(bench, cell), cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "trainable of" in done.stderr  # the child's words arrive on the asking process's stream
        record = json.loads((folder / "results" / "cells" / cell.path / "result.json").read_text())
        records.append((record["test"], record["dev"], record["hashes"]))
    assert records[0] == records[1] == records[2]


def test_exit_codes_come_back(bench: Bench, tmp_path: Path, environment: dict[str, str]) -> None:
    words = command(bench, make_cell("t5", "lora"))
    words[words.index("--tokens") + 1] = "nowhere/tokens.json"
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("petscale: nowhere/tokens.json: missing")


def test_sigterm_reaches_the_cell(bench: Bench, tmp_path: Path, environment: dict[str, str]) -> None:
    """Saved and resumable: exit code 85."""
    cell = make_cell("t5", "lora", steps=100_000, evaluate_every=50_000)
    asking = subprocess.Popen(command(bench, cell), cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    state = tmp_path / "results" / "state" / cell.path
    wait_for(state / "metrics.jsonl")
    asking.send_signal(signal.SIGTERM)
    _, told = asking.communicate(timeout=60)
    assert asking.returncode == 85, told
    assert list(state.glob("ckpt-*"))


def test_cell_dies_with_who_asked_for_it(bench: Bench, tmp_path: Path, environment: dict[str, str]) -> None:
    """SIGKILL cannot be passed on, so the worker ends the child, which would otherwise train on unnoticed."""
    cell = make_cell("t5", "lora", steps=100_000, evaluate_every=50_000)
    asking = subprocess.Popen(command(bench, cell), cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    state = tmp_path / "results" / "state" / cell.path
    wait_for(state / "metrics.jsonl")
    child = json.loads((state / "lock").read_text())["pid"]
    asking.kill()
    asking.wait()
    until = time.monotonic() + 20
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_scheduled_jobs_have_processes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert not warm.wanted()


def test_a_request_that_the_child_has_read_does_not_stop_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker sees the request arrive, then the child reads it: waiting for more would run cells one at a time."""
    killed: list[int] = []
    monkeypatch.setattr(warm, "_signal", lambda process, signum: killed.append(process))
    worker, asking = socket.socketpair()
    with worker, asking:
        looked = threading.Thread(target=warm._drop_orphans, args=({7: worker}, [worker]), daemon=True)
        looked.start()
        looked.join(5)
        assert not looked.is_alive()
        assert killed == []
        asking.close()
        warm._drop_orphans({7: worker}, [worker])
        assert killed == [7]
