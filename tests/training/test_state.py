"""Checkpoints, the spool and the lock survive a kill."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from petscale.cells import lock as locks
from petscale.cells.lock import STALE_AFTER_S, CellLock
from petscale.cells.spool import Spool, read_spool, spool_digest
from petscale.errors import BadInput, DuplicateTrainer
from petscale.training.checkpoint import Checkpoint, load_newest, save_checkpoint


def checkpoint(step: int, digest: str = "d") -> Checkpoint:
    tensors = {"a": torch.full((3,), float(step)), "b": torch.zeros(0), "c": torch.tensor(step)}
    return Checkpoint(tensors, {"step": step, "digest": digest})


def test_checkpoint_round_trip_is_bitwise(tmp_path: Path) -> None:
    tensors = {"x": torch.randn(4, 5), "h": torch.randn(3).to(torch.bfloat16), "n": torch.tensor(7)}
    save_checkpoint(tmp_path, 1, Checkpoint(tensors, {"digest": "d", "f": 0.1 + 0.2}))
    found = load_newest(tmp_path, digest="d")
    assert found is not None
    assert found.data == {"digest": "d", "f": 0.1 + 0.2}
    assert all(torch.equal(found.tensors[name], value) for name, value in tensors.items())


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in range(5):
        save_checkpoint(tmp_path, step, checkpoint(step))
    assert [path.name for path in sorted(tmp_path.glob("ckpt-*"))] == [
        "ckpt-000000003.safetensors",
        "ckpt-000000004.safetensors",
    ]


def test_halves_of_a_killed_writer_are_swept_up(tmp_path: Path) -> None:
    """Otherwise each kill during the writing of a checkpoint would leave such a file for ever."""
    half = tmp_path / ".ckpt-000000001.safetensors.tmp"
    half.write_bytes(b"half")
    save_checkpoint(tmp_path, 2, checkpoint(2))
    assert load_newest(tmp_path, digest="d") is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ckpt-000000002.safetensors"]


def test_any_flipped_byte_is_noticed(tmp_path: Path) -> None:
    """Each byte of the newest file in turn: it is set aside, and the one before it is used."""
    for step in (1, 2):
        save_checkpoint(tmp_path, step, checkpoint(step))
    newest = tmp_path / "ckpt-000000002.safetensors"
    whole = newest.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        newest.write_bytes(damaged)
        found = load_newest(tmp_path, digest="d")
        if found is not None and found.data["step"] == 2:
            # Only padding may differ without a trace: what was read is what was written.
            assert torch.equal(found.tensors["a"], checkpoint(2).tensors["a"])
            continue
        assert found is not None
        assert found.data["step"] == 1
        newest.with_suffix(".corrupt").unlink()


def test_truncated_checkpoints_fall_back_to_nothing(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 1, checkpoint(1))
    path.write_bytes(path.read_bytes()[:-1])
    assert load_newest(tmp_path, digest="d") is None


def test_checkpoint_of_another_cell_is_not_resumed(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, checkpoint(1, digest="other"))
    assert load_newest(tmp_path, digest="d") is None


def test_checkpoints_without_their_metrics_are_passed_over_for_good(tmp_path: Path) -> None:
    """Otherwise they would be found again after the next kill, and replace those of the newer run."""
    for step in (80, 90):
        save_checkpoint(tmp_path, step, checkpoint(step))
    found = load_newest(tmp_path, digest="d", fits=lambda data: data["step"] < 90)
    assert found is not None
    assert found.data["step"] == 80
    assert load_newest(tmp_path, digest="d", fits=lambda data: False) is None
    for step in (1, 2):
        save_checkpoint(tmp_path, step, checkpoint(step))
        again = load_newest(tmp_path, digest="d")
        assert again is not None
        assert again.data["step"] == step


def test_the_checkpoint_just_written_is_kept(tmp_path: Path) -> None:
    for step in (80, 90, 1):
        save_checkpoint(tmp_path, step, checkpoint(step))
    assert (tmp_path / "ckpt-000000001.safetensors").exists()


def test_spool_is_cut_back_on_resume(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    spool = Spool(path)
    spool.write(1, {"loss": 1.0})
    length = spool.sync()
    spool.write(2, {"loss": float("nan")})
    spool.close()
    again = Spool(path, resume_at=length)
    again.write(2, {"loss": 0.5})
    again.close()
    assert [(r["step"], r["value"]) for r in read_spool(path)] == [(1, 1.0), (2, 0.5)]


def test_a_resumed_spool_knows_its_length_before_it_writes(tmp_path: Path) -> None:
    """A checkpoint may come before the next metric: its length must not be that of the tail that was cut off."""
    path = tmp_path / "metrics.jsonl"
    spool = Spool(path)
    spool.write(1, {"loss": 1.0})
    length = spool.sync()
    spool.write(2, {"loss": 2.0})
    spool.close()
    again = Spool(path, resume_at=length)
    assert again.sync() == length
    assert spool_digest(path, length) is not None
    assert spool_digest(path, length + 1) is None


def test_a_trainer_that_was_replaced_writes_into_nobodys_spool(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    old = Spool(path)
    old.write(1, {"loss": 1.0})
    new = Spool(path, resume_at=old.sync())
    old.write(2, {"loss": 9.0})
    old.close()
    new.write(2, {"loss": 2.0})
    new.close()
    assert [(r["step"], r["value"]) for r in read_spool(path)] == [(1, 1.0), (2, 2.0)]


def test_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    spool = Spool(path)
    spool.write(1, {"loss": 1.0, "inf": float("inf")})
    spool.close()
    with open(path, "ab") as handle:
        handle.write(b'{"ts": 1, "st')
    assert [r["value"] for r in read_spool(path)] == [1.0, float("inf")]


HOLD = """
import sys, time
from pathlib import Path
from petscale.cells.lock import CellLock
with CellLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_second_trainer_is_told_who_holds_the_cell(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DuplicateTrainer, match=f"process {holder.pid} on"), CellLock(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
    with CellLock(tmp_path) as lock:  # its holder is dead: taken over at once
        assert lock.is_ours()
    assert not (tmp_path / "lock").exists()


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some cluster file systems have no locks, and two trainers could take over the same cell there."""

    def refuse(descriptor: object, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(BadInput, match=r"lock\.guard: this file system has no locks"), CellLock(tmp_path):
        pass


def held_elsewhere(folder: Path, **more: str) -> Path:
    lock = folder / "lock"
    lock.write_text(json.dumps({"token": "x", "host": "elsewhere", "pid": 1, "since": "then", **more}))
    return lock


def test_lock_of_another_host_is_judged_by_its_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock with heartbeats is respected, one that stopped a moment ago is waited for, an old one is taken at once."""
    lock = held_elsewhere(tmp_path)
    waits: list[float] = []

    def beats(seconds: float) -> None:
        waits.append(seconds)
        os.utime(lock, ns=(len(waits), time.time_ns() + len(waits)))

    monkeypatch.setattr(locks.time, "sleep", beats)
    with pytest.raises(DuplicateTrainer, match="elsewhere"), CellLock(tmp_path):
        pass
    assert len(waits) == 1
    monkeypatch.setattr(locks.time, "sleep", waits.append)
    monkeypatch.setattr(locks, "STALE_AFTER_S", 0.05)
    os.utime(lock, (time.time() + 60, time.time() + 60))  # fresh for long, by this machine's clock
    with CellLock(tmp_path) as ours:
        assert ours.is_ours()
    assert len(waits) > 1
    waits.clear()
    old = time.time() - STALE_AFTER_S - 1
    os.utime(held_elsewhere(tmp_path), (old, old))
    with CellLock(tmp_path) as ours:
        assert ours.is_ours()
    assert waits == []


def test_a_job_requeued_on_another_node_takes_its_own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held_elsewhere(tmp_path, job="41")
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    monkeypatch.setattr(locks.time, "sleep", lambda seconds: pytest.fail("it waited for itself"))
    with CellLock(tmp_path) as ours:
        assert ours.is_ours()


def test_fenced_trainer_knows_that_it_lost_the_cell(tmp_path: Path) -> None:
    with CellLock(tmp_path) as lock:
        (tmp_path / "lock").write_text(json.dumps({"token": "someone else"}))
        assert not lock.is_ours()
        assert lock.fence.is_lost()
    assert (tmp_path / "lock").exists()  # not ours to remove


def test_a_lock_that_cannot_be_read_is_not_lost(tmp_path: Path) -> None:
    """A file server that is briefly unavailable must not end a cell, but nothing is published meanwhile."""
    with CellLock(tmp_path) as lock:
        (tmp_path / "lock").write_text("torn")
        assert not lock.fence.is_lost()
        assert not lock.is_ours()
        (tmp_path / "lock").unlink()
        assert lock.fence.is_lost()


def test_the_heart_beats_on_after_an_error_and_not_for_an_heir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One failed heartbeat must not lose the cell, and a lost cell must get no more heartbeats from the old trainer."""
    beats: list[Path] = []
    told = threading.Event()

    def touch(path: Path) -> None:
        beats.append(path)
        if len(beats) == 3:
            told.set()
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(locks, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(locks.os, "utime", touch)
    with CellLock(tmp_path) as lock:
        assert told.wait(30)
        (tmp_path / "lock").write_text(json.dumps({"token": "heir"}))
        assert lock._thread is not None
        lock._thread.join(30)
        assert not lock._thread.is_alive()


def test_a_clock_that_is_set_makes_no_stranger_of_a_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with CellLock(tmp_path):
        monkeypatch.setattr(locks.time, "time", lambda: 0.0)
        holder = locks.read_holder(tmp_path / "lock")
        assert holder is not None
        assert locks.is_alive(tmp_path / "lock", holder)
        assert not locks.is_alive(tmp_path / "lock", {**holder, "started": "another boot:1"})
