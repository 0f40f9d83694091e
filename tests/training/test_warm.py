"""A command in the warm worker behaves the same as in a process of its own."""

from __future__ import annotations

import contextlib
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
from typing import Any

import psutil
import pytest

from petscale.artefacts.canonical import canonical
from petscale.cells.state import read_status
from petscale.errors import STOPPING
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


def test_ctrl_c_saves_as_sigterm_does_and_a_second_one_ends_at_once(
    bench: Bench, tmp_path: Path, environment: dict[str, str]
) -> None:
    """The child has a session of its own, so a terminal's Ctrl-C reaches it only through the asking process."""
    cell = make_cell("t5", "lora", steps=100_000, evaluate_every=50_000)
    state = tmp_path / "results" / "state" / cell.path

    def stopped(signals: int, before: int) -> tuple[int, dict[str, Any]]:
        words = command(bench, cell)
        asking = subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL, preexec_fn=terminal)
        until = time.monotonic() + 180
        while (read_status(state) or {}).get("step", 0) in (None, *range(before + 1)):
            assert time.monotonic() < until
            time.sleep(0.02)
        for _ in range(signals):
            asking.send_signal(signal.SIGINT)
            time.sleep(0.005)
        code = asking.wait(timeout=60)
        status = read_status(state)
        assert status is not None
        return code, status

    code, status = stopped(1, before=0)
    assert (code, status["phase"]) == (85, "interrupted")
    (saved,) = [int(path.stem.split("-")[1]) for path in state.glob("ckpt-*")]
    assert f"stopped at step {saved} of 100000; the same command goes on" in status["cause"]
    code, status = stopped(50, before=saved)
    assert status["phase"] == "interrupted"
    assert "goes on" in status["cause"]
    assert code in (85, -signal.SIGINT)  # the second one if a signal meets the asking process at its very end


def terminal() -> None:
    """Take Ctrl-C as a program that was started in a terminal does; in the background of a shell it is ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@contextlib.contextmanager
def handlers_restored() -> Iterator[None]:
    """A process that asked a worker leaves its signals to the child; this one goes on with other tests."""
    before = {signum: signal.getsignal(signum) for signum in STOPPING}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for the sockets of workers of this test's own, with a path longer than the kernel's 107 bytes."""
    folder = tmp_path / "a-folder-with-a-long-name-as-schedulers-make-them" / "job.1234567.node-0042.cluster.example"
    folder.mkdir(parents=True)
    assert len(str(folder)) > 107
    monkeypatch.setattr(warm.tempfile, "tempdir", str(folder))
    return folder


def test_a_worker_is_reached_in_a_deep_folder(no_child: Path) -> None:
    """Guards against the wait of a minute in each cell where $TMPDIR is long."""
    path = warm.socket_path()
    served = threading.Thread(target=warm.serve, args=(path, lambda words, started: 7), daemon=True)
    served.start()
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    with socket.socket(socket.AF_UNIX) as probe:
        warm._connect_to(probe, path)
    assert warm._answers(path)


@pytest.mark.parametrize(
    "words", ["raise SystemExit(3)", "import no_such_module", "import os; os.kill(os.getpid(), 9)"]
)
def test_a_worker_that_cannot_start_is_noticed_at_once(
    no_child: Path, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command then runs in its own process; nothing is waited for."""
    monkeypatch.setattr(warm, "START_TIMEOUT_S", 1e9)
    assert warm.ask(["train"], worker=[sys.executable, "-c", words]) is None
    told = capsys.readouterr().err
    assert told.startswith("petscale: note: no warm worker (it ended with code")
    assert told.count("\n") == 1


def test_a_worker_that_dies_is_noticed_at_once(no_child: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Before its child has begun, this process runs the command; after that, the loss of the child is told."""
    path = warm.socket_path()

    def answer_with(data: bytes) -> threading.Thread:
        listener = socket.socket(socket.AF_UNIX)
        with warm._short(path) as name:
            listener.bind(name)
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            length = int.from_bytes(connection.recv(4), "big")
            warm._receive(connection, length)
            connection.sendall(data)
            connection.close()
            listener.close()
            path.unlink()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        return thread

    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    for data, code, words in ((b"", None, "died"), (int(gone.stdout).to_bytes(4, "big"), 1, "was killed")):
        thread = answer_with(data)
        with handlers_restored():
            assert warm.ask(["train"], worker=["no-such-program"]) == code
        thread.join(10)
        assert words in capfd.readouterr().err


def test_signals_that_come_early_are_passed_on_later() -> None:
    """Guards against a Ctrl-C that is lost, or that goes to the group of process 0, while the child is being made."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with handlers_restored(), warm._signals_kept() as kept:
        os.kill(os.getpid(), signal.SIGTERM)
        assert kept.signals == [signal.SIGTERM]
        kept.pass_to(child.pid)
    assert child.wait(30) == -signal.SIGTERM


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


def test_what_one_command_has_imported_is_in_memory_for_the_next(no_child: Path, tmp_path: Path) -> None:
    """Otherwise each cell would import the thousand modules of its family and method anew."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom petscale.training import warm\n"
        "def run(words, started):\n"
        "    known = 'wave' in sys.modules\n"
        "    import wave\n"
        "    return 0 if not known else 9\n"
        "warm.serve(Path(sys.argv[1]), run)\n"
    )
    (tmp_path / "program.py").write_text(program)
    codes = []
    for _ in range(2):
        with handlers_restored():
            codes.append(warm.ask(["train"], worker=[sys.executable, str(tmp_path / "program.py")]))
    assert codes == [0, 9]
    assert not list(no_child.rglob("*.modules"))
