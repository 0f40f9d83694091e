"""An interrupted cell, whenever and however often, gives the numbers of an uninterrupted one, byte for byte."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from petscale.cells.state import read_status
from petscale.errors import Exit

from .conftest import METHODS, Bench, no_half_files, numbers

CELLS = [(family, method) for family in ("t5", "bert") for method in METHODS]


@pytest.fixture(scope="module")
def whole(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[dict[str, Any], float]]:
    """Numbers and seconds of each cell's uninterrupted run, trained when first asked for."""
    known: dict[str, tuple[dict[str, Any], float]] = {}

    def run(cell: str) -> tuple[dict[str, Any], float]:
        if cell not in known:
            results = tmp_path_factory.mktemp("whole")
            started = time.monotonic()
            assert bench.train(cell, results) == Exit.DONE, (results / "output.log").read_text()
            known[cell] = numbers(results, cell), time.monotonic() - started
        return known[cell]

    return run


def kill_often(bench: Bench, cell: str, whole: Any, results: Path, kills: int, tally: Any, seed: int) -> None:
    """Kill attempts of a cell at random instants until `kills` of them died; compare each cell that finishes."""
    expected, seconds = whole(cell)
    draw = random.Random(seed)
    count = tally("SIGKILL at a random instant")
    died = 0
    while died < kills:
        # Short attempts, so that most of them die; the cell still gets on by its checkpoints.
        code = bench.finish(
            bench.start(bench.arguments(cell, results), results), kill_after=draw.uniform(0.02, 0.7 * seconds)
        )
        if code == -signal.SIGKILL:
            died += 1
            no_half_files(results, cell)
            continue
        assert code == Exit.DONE, (results / "output.log").read_text()
        assert numbers(results, cell) == expected
        shutil.rmtree(results)
    assert bench.train(cell, results) == Exit.DONE
    same = numbers(results, cell) == expected
    for _ in range(died):
        count.add(same)
    assert same


def test_three_kills(bench: Bench, whole: Any, tmp_path: Path, tally: Any) -> None:
    kill_often(bench, bench.cell("bert", "apet-discrete"), whole, tmp_path / "r", 3, tally, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "method"), CELLS)
def test_twenty_kills(bench: Bench, whole: Any, tmp_path: Path, tally: Any, family: str, method: str) -> None:
    """The acceptance line: 20 random instants, T5 and BERT, three methods."""
    kill_often(bench, bench.cell(family, method), whole, tmp_path / "r", 20, tally, seed=2)


def dies_at(call: int, half: bool) -> Callable[[], None]:
    """A harm that kills the process at its n-th durable operation (fsync or rename), or just after it."""

    def harm() -> None:
        left = call
        for name, operation in (("fsync", os.fsync), ("replace", os.replace)):

            def deadly(*arguments: Any, real: Any = operation) -> Any:
                nonlocal left
                left -= 1
                if left == 0 and not half:
                    os.kill(os.getpid(), signal.SIGKILL)
                answer = real(*arguments)
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return answer

            setattr(os, name, deadly)

    return harm


@pytest.mark.slow
@pytest.mark.parametrize("half", [False, True], ids=["before", "after"])
def test_killed_at_durable_operations(bench: Bench, whole: Any, tmp_path: Path, tally: Any, half: bool) -> None:
    """Checkpoints, status, spool and outputs are written by fsync and rename; a kill comes at every third of these."""
    cell = bench.cell("t5", "lora")
    expected, _ = whole(cell)
    count = tally("SIGKILL within writing a checkpoint or output")
    for call in range(1, 200, 3):
        results = tmp_path / str(call)
        code = bench.train(cell, results, harm=dies_at(call, half))
        if code == Exit.DONE:
            assert call > 30  # all operations of an attempt were reached
            return
        assert code == -signal.SIGKILL
        no_half_files(results, cell)
        assert bench.train(cell, results) == Exit.DONE
        same = numbers(results, cell) == expected
        count.add(same)
        assert same, f"killed at operation {call}"
        shutil.rmtree(results)
    raise AssertionError("an attempt has more durable operations than were tried")


def test_sigterm_saves_and_says_so(bench: Bench, whole: Any, tmp_path: Path, tally: Any) -> None:
    cell = bench.cell("t5", "apet-discrete")
    expected, _ = whole(cell)
    count = tally("SIGTERM with grace")
    state = tmp_path / "state" / cell
    child = bench.start(bench.arguments(cell, tmp_path), tmp_path)
    while not list(state.glob("ckpt-*.safetensors")):
        time.sleep(0.005)
    code = bench.finish(child, kill_after=0.0, signum=signal.SIGTERM)
    assert code == Exit.INTERRUPTED
    status = read_status(state)
    assert status is not None
    assert status["phase"] == "interrupted"
    assert "the same command goes on" in status["cause"]
    assert list(state.glob("ckpt-*.safetensors"))
    assert bench.train(cell, tmp_path) == Exit.DONE
    same = numbers(tmp_path, cell) == expected
    count.add(same)
    assert same
    assert [path.name for path in sorted(state.glob("attempt-*.log"))] == ["attempt-1.log", "attempt-2.log"]


def press_often(bench: Bench, cell: str, whole: Any, results: Path, presses: int, count: Any, seed: int) -> None:
    """Ctrl-C at random instants, in every third attempt twice, until `presses` attempts were stopped.

    Each attempt that has begun must say that it was interrupted, and none may be lost; the last one is not disturbed.
    """
    expected, seconds = whole(cell)
    draw, state = random.Random(seed), results / "state" / cell
    stopped = 0
    while stopped < presses:
        child = bench.start(bench.arguments(cell, results), results, harm=in_a_terminal)
        time.sleep(draw.uniform(0.02, 0.7 * seconds))
        os.kill(child, signal.SIGINT)
        if stopped % 3 == 2:
            time.sleep(draw.uniform(0.0, 0.02))
            os.kill(child, signal.SIGINT)
        code = bench.finish(child)
        no_half_files(results, cell)
        if code == Exit.DONE:  # it came while the cell was scored, or too late
            assert numbers(results, cell) == expected
            shutil.rmtree(results)
            continue
        assert code in (Exit.INTERRUPTED, -signal.SIGINT), (results / "output.log").read_text()
        stopped += 1
        status = read_status(state)
        if status is not None:
            assert status["phase"] == "interrupted", status
            assert "goes on" in status["cause"]
    assert bench.train(cell, results) == Exit.DONE
    same = numbers(results, cell) == expected
    for _ in range(stopped):
        count.add(same)
    assert same


def in_a_terminal() -> None:
    """The test's own process may ignore Ctrl-C, as in the background of a shell, or turn it into an end of the run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_three_presses(bench: Bench, whole: Any, tmp_path: Path, tally: Any) -> None:
    count = tally("Ctrl-C at random instants")
    press_often(bench, bench.cell("t5", "lora"), whole, tmp_path / "r", 3, count, seed=3)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "method"), CELLS)
def test_ctrl_c_at_random_instants(
    bench: Bench, whole: Any, tmp_path: Path, tally: Any, family: str, method: str
) -> None:
    count = tally("Ctrl-C at random instants")
    press_often(bench, bench.cell(family, method), whole, tmp_path / "r", 8, count, seed=4)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["t5", "bert"])
def test_a_time_limit_of_a_third(bench: Bench, whole: Any, tmp_path: Path, tally: Any, family: str) -> None:
    """A cell that needs three times its partition's limit finishes over as many jobs as it takes."""
    cell = bench.cell(family, "lora")
    expected, seconds = whole(cell)
    count = tally("time limit a third of the need")
    for share in (3, 6, 12):  # a loaded machine may have needed three times as long before as it does now
        results, jobs, code = tmp_path / str(share), 0, int(Exit.INTERRUPTED)
        while code == Exit.INTERRUPTED:
            jobs += 1
            assert jobs < 100
            code = bench.train(cell, results, "--deadline", str(seconds / share))
        assert code == Exit.DONE
        same = numbers(results, cell) == expected
        count.add(same)
        assert same
        if jobs >= 3:
            return
    raise AssertionError("the cell never needed three jobs")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["newest", "truncated", "all", "spool", "end of spool"])
def test_damaged_checkpoints(bench: Bench, whole: Any, tmp_path: Path, tally: Any, how: str) -> None:
    """The checkpoint before is used, or none; the numbers are the same, and the log names the damaged one."""
    cell = bench.cell("bert", "lora")
    expected, _ = whole(cell)
    count = tally("damaged checkpoint")
    state = tmp_path / "state" / cell
    child = bench.start(bench.arguments(cell, tmp_path), tmp_path)
    while len(list(state.glob("ckpt-*.safetensors"))) < 2:
        time.sleep(0.002)
    bench.finish(child, kill_after=0.0)
    saved = sorted(state.glob("ckpt-*.safetensors"))
    harmed = [state / "metrics.jsonl"] if "spool" in how else saved if how == "all" else saved[-1:]
    for path in harmed:
        data = bytearray(path.read_bytes())
        if how == "truncated":
            data = data[: len(data) // 2]
        elif how == "end of spool":  # what the newest checkpoint has beyond the one before it
            del data[-5:]
        else:
            data[25 if how == "spool" else -5] ^= 1
        path.write_bytes(data)
    assert bench.train(cell, tmp_path) == Exit.DONE
    same = numbers(tmp_path, cell) == expected
    count.add(same)
    assert same
    told = "its metrics are damaged" if "spool" in how else "not a whole checkpoint"
    assert told in (state / "attempt-2.log").read_text()


def test_two_trainers_of_one_cell(bench: Bench, whole: Any, tmp_path: Path, tally: Any) -> None:
    """Exactly one of them trains; the other names it and exits."""
    cell = bench.cell("t5", "lora")
    expected, _ = whole(cell)
    count = tally("two trainers at once")
    for attempt in range(4):
        results = tmp_path / str(attempt)
        children = [bench.start(bench.arguments(cell, results), results) for _ in range(2)]
        codes = sorted(bench.finish(child) for child in children)
        fine = codes == [Exit.DONE, Exit.DUPLICATE] and numbers(results, cell) == expected
        count.add(fine)
        assert fine, (codes, (results / "output.log").read_text())
        assert "this trainer leaves the cell to it" in (results / "output.log").read_text()
        shutil.rmtree(results)
