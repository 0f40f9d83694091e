"""Several processes, or several parts of a batch, give the numbers of one process on the undivided batch.

Dropout is on in all of these cells, so every example must meet the mask that it meets in one process.
"""

from __future__ import annotations

import contextlib
import csv
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import torch

from petscale.cells.lock import Fence
from petscale.cells.record import read_result
from petscale.cells.state import read_status
from petscale.errors import Exit
from petscale.training import run
from petscale.training.loop import Loop
from petscale.training.run import Job, run_cell
from petscale.tuning.files import load_delta, load_extra
from training.bench import Bench, make_cell
from training.test_cell import numbers
from training.test_warm import command, wait_for


def curve(job: Job) -> list[dict[str, float]]:
    with open(job.folder / "curve.csv", newline="") as handle:
        return [{key: float(row[key] or "nan") for key in row if key != "seconds"} for row in csv.DictReader(handle)]


def values(job: Job) -> dict[str, torch.Tensor]:
    """What was trained, but for key biases: softmax cancels them, so AdamW makes steps of their rounding noise."""
    trained = load_delta(job.folder / "delta.safetensors")[1]
    return {name: value for name, value in trained.items() if not KEY_BIAS.search(name)}


def assert_same(found: Job, expected: Job) -> None:
    """Equal but for rounding: values, losses, scores; and the same examples in the same order."""
    torch.testing.assert_close(values(found), values(expected), rtol=1e-4, atol=2e-6)
    for ours, theirs in zip(curve(found), curve(expected), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, nan_ok=True)
    tables = [pq.read_table(job.folder / "predictions.parquet").to_pydict() for job in (found, expected)]
    assert tables[0] == tables[1]
    records = [read_result(job.folder / "result.json") for job in (found, expected)]
    assert records[0].test == records[1].test
    assert records[0].counts.trainable == records[1].counts.trainable
    assert records[0].counts.stored == records[1].counts.stored


KEY_BIAS = re.compile(r"add-hidden:.*\.k/|\.key\.bias/")

# What each method changes in the planned cell of its name, or of lora.
METHODS: dict[str, dict[str, Any]] = {
    "full": {},
    "lora": {},
    "apet-discrete": {},
    "prompt": {"method": "prompt", "options": {"tokens": 4}},
    "bitfit": {"method": "bitfit", "options": {}},
}


def train(bench: Bench, family: str, name: str, method: str, changes: dict[str, Any], **job: Any) -> Job:
    told = bench.job(family, name, **job)
    cell = replace(make_cell(family, "lora" if METHODS[method] else method), **METHODS[method], **changes)
    assert run_cell(cell, told) == Exit.DONE, read_status(told.state)
    return told


@pytest.mark.parametrize("family", ["t5", "bert"])
@pytest.mark.parametrize("method", ["full", "lora", "apet-discrete"])
def test_two_processes_give_what_one_gives(bench: Bench, family: str, method: str) -> None:
    one, two = (train(bench, family, f"{n}-of-{family}-{method}", method, {}, devices=n) for n in (1, 2))
    assert_same(two, one)
    assert read_result(two.folder / "result.json").provenance["devices"] == 2
    assert (read_status(two.state) or {})["step"] == 6  # what a member told outlives the end of the attempt


def test_a_frozen_head_is_sharded_and_stays_as_it_is(bench: Bench) -> None:
    changes = {"head": "frozen"}
    one, two = (train(bench, "bert", f"{n}-frozen-head", "full", changes, devices=n) for n in (1, 2))
    assert_same(two, one)
    heads = [load_extra(job.folder / "delta.safetensors") for job in (one, two)]
    assert heads[0].keys() == heads[1].keys()
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_uneven_shares_count_every_example_once(bench: Bench, family: str) -> None:
    """20 rows to score and batches of 19 and of 1 to train on, over 3 processes; the predictions are compared whole."""
    method = {"t5": "full", "bert": "lora"}[family]
    one, three = (train(bench, family, f"{n}-shares-{family}", method, {"batch_size": 19}, devices=n) for n in (1, 3))
    assert_same(three, one)
    ids = pq.read_table(three.folder / "predictions.parquet").to_pydict()["id"]
    assert len(set(ids)) == len(ids) == 20


@pytest.mark.parametrize("family", ["t5", "bert"])
@pytest.mark.parametrize("method", METHODS)
def test_accumulated_parts_give_the_whole_batch(bench: Bench, family: str, method: str) -> None:
    whole, parts = (
        train(bench, family, f"parts-{most}-{family}-{method}", method, {}, micro_batch=most) for most in (None, 3)
    )
    assert_same(parts, whole)


@pytest.mark.parametrize("family", ["t5", "bert"])
@pytest.mark.parametrize("method", METHODS)
def test_gradient_checkpointing_changes_no_number(bench: Bench, family: str, method: str) -> None:
    kept, again = (
        train(bench, family, f"again-{on}-{family}-{method}", method, {"gradient_checkpointing": on})
        for on in (False, True)
    )
    assert_same(again, kept)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_all_at_once(bench: Bench, method: str) -> None:
    """Two processes, parts of a batch, and forwards computed again inside each part."""
    changes = {"gradient_checkpointing": True}
    one = train(bench, "t5", f"at-once-{method}", method, {})
    many = train(bench, "t5", f"all-at-once-{method}", method, changes, devices=2, micro_batch=3)
    assert_same(many, one)


def test_shards_compute_in_the_precision_of_the_study(bench: Bench) -> None:
    """bfloat16: masters stay float32, so small steps are kept; losses agree as far as that type can tell."""
    one, two = (train(bench, "t5", f"{n}-bfloat16", "full", {"precision": "bfloat16"}, devices=n) for n in (1, 2))
    assert all(tensor.dtype == torch.float32 for tensor in values(two).values())
    for ours, theirs in zip(curve(two), curve(one), strict=True):
        assert ours == pytest.approx(theirs, rel=2**-7, abs=0.06, nan_ok=True)
    moved = torch.cat([(a - b).flatten() for a, b in zip(values(two).values(), values(one).values(), strict=True)])
    assert moved.abs().mean() < 1e-4


# Interruptions ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def stop_after_two_steps(job: Job) -> Iterator[Any]:
    calls = iter(range(100))
    yield SimpleNamespace(asked=False, is_due=lambda need_s: next(calls) == 1)


def stopped_member(team: Any, cell: Any, job: Job, fence: Fence, attempt: Path) -> str | None:
    """Only one process hears of the stop; all must heed it, at the same step."""
    if team.rank == 1:
        run._stop_flag = stop_after_two_steps
    return run._member(team, cell, job, fence, attempt)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_cell_goes_on_with_as_many_processes_as_there_are(
    bench: Bench, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints are whole: from two processes to one, and from one to two. From two to two not a byte differs."""
    cell = make_cell("t5", method)
    one, two = (train(bench, "t5", f"{n}-unstopped-{method}", method, {}, devices=n) for n in (1, 2))
    for first, then in ((2, 1), (1, 2), (2, 2)):
        name = f"stopped-{first}-{then}-{method}"
        with monkeypatch.context() as patch:
            patch.setattr(run, "_member", stopped_member)
            patch.setattr(run, "_stop_flag", stop_after_two_steps)
            assert run_cell(cell, bench.job("t5", name, devices=first)) == Exit.INTERRUPTED
        job = bench.job("t5", name, devices=then)
        assert (read_status(job.state) or {})["cause"].endswith("stopped at step 2 of 6; the same command goes on")
        assert run_cell(cell, job) == Exit.DONE
        assert_same(job, one)
    assert numbers(job) == numbers(two)


# Failures -----------------------------------------------------------------------------------------------


def bug(loop: Loop) -> None:
    raise ValueError("the rows are gone")


def lack_of_memory(loop: Loop) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")


def kill(loop: Loop) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Failing:
    """A member of which rank 1 fails in its first step; a class, so that it can be sent to another process."""

    def __init__(self, step: Callable[[Loop], None]) -> None:
        self.step = step

    def __call__(self, team: Any, *rest: Any) -> str | None:
        if team.rank == 1:
            Loop.train_step = self.step  # type: ignore[method-assign]
        return run._member(team, *rest)


@pytest.mark.parametrize(
    "step, code, cause",
    [
        (bug, Exit.BUG, "ValueError: the rows are gone"),
        (lack_of_memory, Exit.OUT_OF_MEMORY, "out of memory: CUDA out of memory. Tried to allocate 20 GiB"),
        (kill, Exit.BUG, "RuntimeError: the process of rank 1 was killed by SIGKILL"),
    ],
)
def test_one_process_that_fails_fails_the_cell(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step: Callable[[Loop], None], code: Exit, cause: str
) -> None:
    """The line names the cause and not its consequence in the other processes, and no process is left waiting."""
    monkeypatch.setattr(run, "_member", Failing(step))
    job = bench.job("t5", f"fails-{code}-{step.__name__}", devices=2)
    assert run_cell(make_cell("t5", "lora"), job) == code
    assert (read_status(job.state) or {})["cause"] == cause
    assert not (job.folder / "result.json").exists()
    if step is bug:
        assert "on rank 1 of 2" in (job.state / "attempt-1.log").read_text()


def test_bad_input_is_told_as_by_one_process(bench: Bench, tmp_path: Path) -> None:
    inputs = run.Inputs(tmp_path / "nowhere", bench.inputs["t5"].backbone)
    job = Job(inputs, tmp_path / "cell", tmp_path / "state", devices=2)
    assert run_cell(make_cell("t5", "lora"), job) == Exit.BAD_INPUT
    assert "nowhere" in (read_status(job.state) or {})["cause"]


# The command --------------------------------------------------------------------------------------------


@pytest.fixture
def running(bench: Bench, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, list[psutil.Process]]]:
    """`petscale train --devices 2` in the middle of a long cell: the command, its state folder, what it started."""
    cell = make_cell("t5", "lora", steps=100_000, evaluate_every=50_000)
    words = [*command(bench, cell), "--devices", "2"]
    env = {**os.environ, "PETSCALE_WORKER": "0"}
    asking = subprocess.Popen(words, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True)
    state = tmp_path / "results" / "state" / cell.path
    members: list[psutil.Process] = []
    try:
        wait_for(state / "metrics.jsonl")
        until = time.monotonic() + 180
        while "step" not in (read_status(state) or {}):  # both are in the loop
            assert time.monotonic() < until
            time.sleep(0.05)
        members = psutil.Process(asking.pid).children(recursive=True)
        yield asking, state, members
    finally:
        # Also where the cell did not get that far: it would train on for hours.
        with contextlib.suppress(psutil.Error):
            members += psutil.Process(asking.pid).children(recursive=True)
        for process in (asking, *members):
            with contextlib.suppress(psutil.Error):
                process.kill()
        asking.communicate()


def test_sigterm_reaches_all_processes(running: tuple[subprocess.Popen[str], Path, list[psutil.Process]]) -> None:
    """As a scheduler sends it: to everything that the job has started."""
    asking, state, members = running
    for process in (asking, *members):
        process.terminate()
    _, told = asking.communicate(timeout=60)
    assert asking.returncode == 85, told
    assert list(state.glob("ckpt-*"))


def test_no_process_outlives_the_command(running: tuple[subprocess.Popen[str], Path, list[psutil.Process]]) -> None:
    """SIGKILL cannot be passed on, so the members must notice that the command died."""
    asking, _, members = running
    assert len(members) >= 2
    asking.kill()
    until = time.monotonic() + 20
    while any(member.is_running() and member.status() != psutil.STATUS_ZOMBIE for member in members):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_devices_are_a_number(bench: Bench, tmp_path: Path) -> None:
    words = [*command(bench, make_cell("t5", "lora")), "--devices", "0"]
    words.remove("--warm")
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "petscale: petscale train: --devices 0: 1 at least\n"
