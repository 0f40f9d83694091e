"""Flipped bytes, a full disk, divergence and lack of memory are noticed and reported, and cells recover from them."""

from __future__ import annotations

import builtins
import errno
import os
import random
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from petscale.artefacts.layout import Layout
from petscale.cells.record import read_result
from petscale.cells.state import read_status
from petscale.errors import BadInput, Exit
from petscale.training import loop
from petscale.training.setup import Inputs, prepare_cell

from .conftest import Bench, no_half_files, numbers

INPUTS = ("tokens", "backbone")
FLIPS = 12  # a file


def last_line(results: Path) -> str:
    return (results / "output.log").read_text().strip().splitlines()[-1]


def in_memory(bench: Bench, cell: str, inputs: Path) -> dict[str, Any]:
    """All that a cell makes of its inputs before the first step."""
    found = bench.dag.cell_inputs(cell)
    folders = Inputs((inputs / found["tokens"]).parent, (inputs / found["backbone"]).parent)
    ready = prepare_cell(bench.dag.planned(cell).cell, folders)
    splits = {name: ready.tokens.split(name) for name in ready.tokens.splits}
    return {
        "shape": ready.shape,
        "counts": ready.plan.counts,
        "model": {name: value.numpy().tobytes() for name, value in ready.model.state_dict().items()},
        "config": {k: v for k, v in ready.model.config.to_dict().items() if k != "_name_or_path"},
        "rows": {name: [split.source[i].tolist() for i in range(len(split))] for name, split in splits.items()},
        "labels": {name: (split.labels, split.target_length, split.pad, split.end) for name, split in splits.items()},
        "words": None if ready.decode is None else ready.decode(list(range(200))),
    }


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_a_flipped_byte_in_each_input(bench: Bench, tmp_path: Path, tally: Any, family: str) -> None:
    """Either an error of one line names the file, or the data in memory are those that were written."""
    cell = bench.cell(family, "lora")
    expected = in_memory(bench, cell, bench.inputs)
    found = bench.dag.cell_inputs(cell)
    for each in INPUTS:
        shutil.copytree((bench.inputs / found[each]).parent, (tmp_path / found[each]).parent)
    draw = random.Random(0)
    count = tally("flipped byte in an input")
    files = sorted(file for each in INPUTS for file in (tmp_path / found[each]).parent.iterdir())
    assert len(files) >= 7
    for file in files:
        whole = file.read_bytes()
        for _ in range(FLIPS):
            data = bytearray(whole)
            position = draw.randrange(len(data))
            data[position] ^= 1 << draw.randrange(8)
            file.write_bytes(data)
            told = ""
            try:
                fine = in_memory(bench, cell, tmp_path) == expected
            except BadInput as error:
                told = str(error)
                fine = file.name in told
            count.add(fine)
            assert fine, (file.name, position, told)
        file.write_bytes(whole)


def full_disk(call: int) -> Callable[[], None]:
    """A harm: from the n-th fsync or write of the process on, the disk is full."""

    def harm() -> None:
        left = call
        opened = builtins.open

        def spend() -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def fsync(descriptor: Any, real: Any = os.fsync) -> None:
            spend()
            real(descriptor)

        def guarded(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if ("w" in mode or "a" in mode) and str(file) != os.devnull:
                spend()
            return opened(file, mode, *rest, **options)

        os.fsync = fsync
        builtins.open = guarded  # type: ignore[assignment]

    return harm


@pytest.mark.slow
def test_a_disk_that_fills_up(bench: Bench, tmp_path: Path, tally: Any) -> None:
    """No incomplete file counts as complete; once there is space, the same command gives the same numbers."""
    cell = bench.cell("bert", "lora")
    assert bench.train(cell, tmp_path / "whole") == Exit.DONE
    expected = numbers(tmp_path / "whole", cell)
    count = tally("disk full")
    for call in (1, 2, 3, 4, 6, 9, 13, 19, 27, 33, 39, 44, 48, 52, 56, 60):
        results = tmp_path / str(call)
        code = bench.train(cell, results, harm=full_disk(call))
        no_half_files(results, cell)
        if code != Exit.DONE:
            assert code == Exit.BUG, (call, last_line(results))
            assert "No space left on device" in (results / "output.log").read_text()
        assert bench.train(cell, results) == Exit.DONE
        same = numbers(results, cell) == expected
        count.add(same)
        assert same
        shutil.rmtree(results)


@pytest.mark.slow
def test_a_real_full_disk(bench: Bench, tmp_path: Path, tally: Any) -> None:
    """The same on a file system of 300 kB, where writes stop half-way through."""
    cell = bench.cell("t5", "full")
    assert bench.train(cell, tmp_path / "whole") == Exit.DONE
    expected = numbers(tmp_path / "whole", cell)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        count = tally("disk full")
        results = disk / "results"
        code = bench.train(cell, results)
        no_half_files(results, cell)
        assert code == Exit.BUG, last_line(results)
        subprocess.run(["mount", "-o", "remount,size=30m", str(disk)], check=True)
        assert bench.train(cell, results) == Exit.DONE
        same = numbers(results, cell) == expected
        count.add(same)
        assert same
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def outcome(bench: Bench, cell: str, results: Path, harm: Callable[[], None]) -> tuple[int, dict[str, Any]]:
    code = bench.train(cell, results, harm=harm)
    status = read_status(Path(Layout(str(results)).state(cell)))
    assert status is not None
    return code, status


def test_a_loss_that_is_not_a_number(bench: Bench, tmp_path: Path, tally: Any) -> None:
    """Divergence is an outcome: code 0, a record with its cause, undefined scores, the spool kept."""

    def harm() -> None:
        rate = loop.learning_rate
        loop.learning_rate = lambda cell, step: float("nan") if step == 9 else rate(cell, step)

    cell = bench.cell("t5", "lora")
    code, status = outcome(bench, cell, tmp_path, harm)
    result = read_result(Path(Layout(str(tmp_path)).result(cell)))
    fine = (code, status["phase"], result.status) == (Exit.DONE, "diverged", "diverged")
    tally("NaN loss").add(fine)
    assert fine
    assert result.cause is not None
    assert "nan at step 11" in result.cause
    assert result.test[result.metric].value is None


def test_constant_predictions_are_noted(bench: Bench, tmp_path: Path, tally: Any) -> None:
    """A model that always gives the same answer is a result, and the record notes it."""

    def harm() -> None:
        rate = loop.learning_rate
        loop.learning_rate = lambda cell, step: 0.0 * rate(cell, step)

    cell = bench.cell("bert", "lora")
    code, status = outcome(bench, cell, tmp_path, harm)
    result = read_result(Path(Layout(str(tmp_path)).result(cell)))
    fine = (code, status["phase"]) == (Exit.DONE, "done") and "constant predictions on test" in result.notes[0]
    tally("constant predictions").add(fine)
    assert fine, result.notes


@pytest.mark.parametrize("kind", ["cuda", "host", "limit"])
def test_out_of_memory(bench: Bench, tmp_path: Path, tally: Any, kind: str) -> None:
    """It has its own exit code and cause, on the device and on the host."""

    def harm() -> None:
        if kind == "limit":
            # A true lack: an array that the address space cannot hold.
            resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
        real = loop.Loop._batch

        def hungry(*arguments: Any) -> Any:
            if kind == "cuda":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
            if kind == "host":
                raise MemoryError
            torch.empty(64 << 30, dtype=torch.uint8)
            return real(*arguments)

        loop.Loop._batch = hungry  # type: ignore[method-assign]

    cell = bench.cell("bert", "full")
    code, status = outcome(bench, cell, tmp_path, harm)
    fine = code == Exit.OUT_OF_MEMORY and status["phase"] == "failed" and status["cause"].startswith("out of memory")
    tally("out of memory").add(fine)
    assert fine, (code, status)
    assert bench.train(cell, tmp_path) == Exit.DONE  # with memory, the same command goes on
