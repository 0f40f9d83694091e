"""One cell from start to end has the right files, counts and outcomes, and an interruption changes no number."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open

from petscale.cells.record import check_files, read_result
from petscale.cells.spool import read_spool
from petscale.cells.state import read_status
from petscale.errors import BadInput, Exit
from petscale.parallel.team import ALONE
from petscale.training import loop, run, setup
from petscale.training.progress import Progress
from petscale.training.run import Job, run_cell
from petscale.training.setup import Inputs, prepare_cell
from training.bench import Bench, make_cell

TIMES = ("throughput", "peak_memory", "provenance", "energy_j", "files", "seal")


def numbers(job: Job) -> dict[str, object]:
    """All that the promise of docs/reliability.md covers: everything but times and system metrics."""
    record = json.loads((job.folder / "result.json").read_text())
    for key in TIMES:
        record.pop(key)
    with open(job.folder / "curve.csv", newline="") as handle:
        record["curve"] = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(handle)]
    record["metrics"] = [(r["step"], r["key"], r["value"]) for r in read_spool(job.folder / "metrics.jsonl")]
    record["delta"] = (job.folder / "delta.safetensors").read_bytes()
    record["predictions"] = (job.folder / "predictions.parquet").read_bytes()
    return record


@pytest.mark.parametrize("family", ["t5", "bert"])
@pytest.mark.parametrize("method", ["full", "lora", "apet-discrete"])
def test_cell_leaves_its_files(bench: Bench, family: str, method: str) -> None:
    cell, job = make_cell(family, method), bench.job(family, f"files-{family}-{method}")
    assert run_cell(cell, job) == Exit.DONE
    record = read_result(job.folder / "result.json")
    assert record.status == "done"
    assert record.spec == json.loads(json.dumps(cell.spec()))
    assert record.convergence.steps == 6
    assert record.test[record.metric].n == 20
    assert record.energy_j is None  # no GPU: absent, not zero
    assert 0 < record.counts.changed <= record.counts.trainable
    with open(job.folder / "curve.csv", newline="") as handle:
        assert [int(row["step"]) for row in csv.DictReader(handle)] == [0, 3, 6]
    examples = pq.read_table(job.folder / "predictions.parquet").to_pydict()
    assert sum(examples["score"]) / 20 == pytest.approx(record.test[record.metric].value)
    assert set(record.files) == {path.name for path in job.folder.iterdir()} - {"result.json"}
    check_files(job.folder, record)
    assert (read_status(job.state) or {})["phase"] == "done"
    assert list(job.state.glob("ckpt-*")) == []


@pytest.mark.parametrize("method", ["full", "lora", "apet-discrete"])
def test_stored_file_holds_what_was_counted(bench: Bench, method: str) -> None:
    """Plan, optimizer and file agree on the count."""
    cell, job = make_cell("t5", method), bench.job("t5", f"stored-{method}")
    run_cell(cell, job)
    counts = read_result(job.folder / "result.json").counts
    with safe_open(job.folder / "delta.safetensors", framework="pt") as handle:
        stored = sum(handle.get_tensor(name).numel() for name in handle.keys())  # noqa: SIM118
    assert stored == counts.trainable == counts.stored
    assert counts.deployed == 0  # each of them can be merged
    if method == "full":
        assert counts.touched == counts.total
    if method == "lora":
        assert counts.rank == cell.options.get("rank", 8)
    if cell.budget is not None:
        assert counts.trainable == counts.touched == cell.budget


class StopAt:
    """Stands in for SIGTERM at a given step: true once, at that call."""

    def __init__(self, call: int) -> None:
        self.calls, self.at = 0, call

    asked = False

    def is_due(self, need_s: float) -> bool:
        self.calls += 1
        return self.calls == self.at


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_interruption_changes_no_number(bench: Bench, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after every single step and resumed each time, against one run in one go."""
    cell = make_cell(family, "lora")
    whole = bench.job(family, f"whole-{family}")
    assert run_cell(cell, whole) == Exit.DONE

    @contextlib.contextmanager
    def stop_after_one_step(job: Job):  # type: ignore[no-untyped-def]
        yield StopAt(1)

    monkeypatch.setattr(run, "_stop_flag", stop_after_one_step)
    broken = bench.job(family, f"broken-{family}")
    codes = []
    while not codes or codes[-1] == Exit.INTERRUPTED:
        codes.append(run_cell(cell, broken))
        assert len(codes) < 20
    assert codes == [Exit.INTERRUPTED] * 5 + [Exit.DONE]
    assert numbers(broken) == numbers(whole)
    assert len(list(broken.state.glob("attempt-*.log"))) == 6


def test_time_and_memory_cover_all_attempts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a cell that is resumed at its last step would report only the time and memory of scoring."""
    job, cell = bench.job("t5", "attempts"), make_cell("t5", "lora")

    @contextlib.contextmanager
    def stop_after_five_steps(job: Job) -> Iterator[StopAt]:
        yield StopAt(5)

    with monkeypatch.context() as patch:
        patch.setattr(run, "_stop_flag", stop_after_five_steps)
        patch.setattr(loop, "peak_memory", lambda device: 10**15)
        job.started = time.time() - 1000
        assert run_cell(cell, job) == Exit.INTERRUPTED
    job.started = time.time()
    assert run_cell(cell, job) == Exit.DONE
    record = read_result(job.folder / "result.json")
    assert record.peak_memory == 10**15
    assert 1000 < record.throughput.wall_s < 2000


def test_a_trainer_that_lost_its_cell_leaves_everything_to_the_heir(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It notices this at its next checkpoint, and changes neither the status nor the checkpoints of the new trainer."""
    job = bench.job("t5", "lost", checkpoint_every_steps=2)
    told = {"phase": "running", "attempts": [{"attempt": 1}], "by": "the heir"}

    def lose(self: loop.Loop) -> None:
        if self.journey.step == 1:
            (job.state / "lock").write_text(json.dumps({"token": "heir", "host": "elsewhere"}))
            (job.state / "status.json").write_text(json.dumps(told))
        step(self)

    step = loop.Loop.train_step
    monkeypatch.setattr(loop.Loop, "train_step", lose)
    monkeypatch.setattr(Progress, "step", lambda *_: None)
    assert run_cell(make_cell("t5", "lora"), job) == Exit.DUPLICATE
    assert read_status(job.state) == told
    assert not list(job.state.glob("ckpt-*"))
    assert not (job.folder / "result.json").exists()


def test_a_signal_before_the_first_step_is_an_interruption(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a large backbone takes a minute, and a signal meanwhile must not look like a crash."""

    def prepare(*args: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return prepare_cell(*args, **named)

    job = bench.job("bert", "early")
    with monkeypatch.context() as patch:
        patch.setattr(run, "prepare_cell", prepare)
        assert run_cell(make_cell("bert", "lora"), job) == Exit.INTERRUPTED
    assert (read_status(job.state) or {})["cause"].endswith("stopped before step 1; the same command goes on")
    assert run_cell(make_cell("bert", "lora"), job) == Exit.DONE


def test_a_rerun_that_dies_while_it_publishes_leaves_no_mixture(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of the earlier run must not be left beside files of the new one."""
    job, cell = bench.job("t5", "again"), make_cell("t5", "lora")
    assert run_cell(cell, job) == Exit.DONE
    with monkeypatch.context() as patch:
        patch.setattr(run, "publish", lambda *_, **__: 1 / 0)
        assert run_cell(cell, job) == Exit.BUG
    assert [path.name for path in sorted(job.folder.iterdir())] == ["metrics.jsonl", "system.jsonl"]
    assert run_cell(cell, job) == Exit.DONE
    check_files(job.folder, read_result(job.folder / "result.json"))


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "system.jsonl", "delta.safetensors", "curve.csv", "predictions.parquet"]
)
def test_a_published_file_that_changed_is_named(bench: Bench, name: str, tmp_path: Path) -> None:
    job = bench.job("t5", "published")
    if not job.folder.exists():
        assert run_cell(make_cell("t5", "lora"), job) == Exit.DONE
    folder = Path(shutil.copytree(job.folder, tmp_path / "cell"))
    record = read_result(folder / "result.json")
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(BadInput, match=rf"{name}: changed since its cell was published"):
        check_files(folder, record)
    (folder / name).unlink()
    with pytest.raises(BadInput, match=rf"{name}: No such file"):
        check_files(folder, record)


def test_a_record_whose_number_changed_is_refused(bench: Bench, tmp_path: Path) -> None:
    """A record with a changed digit in a score is still valid JSON that fits the schema."""
    job = bench.job("t5", "published")
    if not job.folder.exists():
        assert run_cell(make_cell("t5", "lora"), job) == Exit.DONE
    document = json.loads((job.folder / "result.json").read_text())
    document["test"]["accuracy"]["value"] += 0.1
    path = tmp_path / "result.json"
    path.write_text(json.dumps(document))
    with pytest.raises(BadInput, match=r"result\.json: key seal: changed since it was written"):
        read_result(path)


def test_frozen_backbone_is_scored_without_training(bench: Bench) -> None:
    """Budget 0: the measured baseline."""
    cell, job = make_cell("t5", "frozen"), bench.job("t5", "frozen")
    assert run_cell(cell, job) == Exit.DONE
    record = read_result(job.folder / "result.json")
    assert record.counts.trainable == record.counts.changed == 0
    assert record.convergence.steps == 0
    assert record.test[record.metric].value is not None


def test_divergence_is_an_outcome(bench: Bench) -> None:
    cell, job = make_cell("t5", "full", learning_rate=1e30), bench.job("t5", "diverged")
    assert run_cell(cell, job) == Exit.DONE
    record = read_result(job.folder / "result.json")
    assert record.status == "diverged"
    assert record.cause is not None
    assert "loss" in record.cause
    assert record.test[record.metric].value is None


def test_out_of_memory_has_its_own_code(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from petscale.training.loop import Loop

    def fail(self: Loop) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(Loop, "train_step", fail)
    job = bench.job("t5", "memory")
    assert run_cell(make_cell("t5", "lora"), job) == Exit.OUT_OF_MEMORY
    assert "out of memory" in (read_status(job.state) or {})["cause"]


def test_soft_tokens_without_room_are_bad_input_before_any_step(bench: Bench, tmp_path: Path) -> None:
    """The backbone has 64 positions; the longest input would have stopped the cell in the middle of its training."""
    job = Job(bench.inputs["bert"], tmp_path / "cell", tmp_path / "state")
    cell = replace(make_cell("bert", "lora"), method="prompt", options={"tokens": 60})
    assert run_cell(cell, job) == Exit.BAD_INPUT
    status = read_status(tmp_path / "state") or {}
    assert "tokens and the 60 soft tokens of prompt exceed the backbone's 64 positions" in status["cause"]


def test_missing_input_is_bad_input(bench: Bench, tmp_path: Path) -> None:
    from petscale.training.setup import Inputs

    job = Job(Inputs(tmp_path / "nowhere", bench.inputs["t5"].backbone), tmp_path / "cell", tmp_path / "state")
    assert run_cell(make_cell("t5", "lora"), job) == Exit.BAD_INPUT
    assert "nowhere" in (read_status(tmp_path / "state") or {})["cause"]
    assert not (tmp_path / "cell").exists()


def test_a_gpu_that_cannot_be_used_is_no_reason_to_train_on_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CUDA build on a node with an older driver: the job holds a GPU that torch does not see."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for nothing in ("", "-1", "NoDevFiles"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", nothing)
        assert setup._device(ALONE) == torch.device("cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(BadInput, match=r"CUDA_VISIBLE_DEVICES=0, but CUDA 13\.0 of torch"):
        setup._device(ALONE)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert setup._device(ALONE) == torch.device("cpu")


def test_the_deadline_leaves_time_to_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves a minute, or the time of a checkpoint and an evaluation, but at most a quarter of a short job."""
    now = [0.0]
    monkeypatch.setattr(run.time, "time", lambda: now[0])
    job = Job(Path("folder"), Path("state"), Inputs(Path("tokens"), Path("backbone")), deadline_s=3600.0, started=0.0)
    with run._stop_flag(job) as stop:
        for need_s, late_at in ((0.0, 3540.0), (600.0, 3000.0), (5000.0, 2700.0)):
            now[0] = late_at
            assert not stop.is_due(need_s)
            now[0] = late_at + 1
            assert stop.is_due(need_s)


def test_tokens_of_another_task_are_refused(bench: Bench) -> None:
    """A cell whose record names one task must not train on the rows of another."""
    cell, job = make_cell("t5", "lora"), bench.job("t5", "other-task")
    other = replace(cell, data=replace(cell.data, task="mini-paraphrase"))
    assert run_cell(other, job) == Exit.BAD_INPUT
    cause = (read_status(job.state) or {})["cause"]
    assert cause == f"{job.inputs.tokens}: tokens of task mini-sentiment, but the cell's task is mini-paraphrase"
