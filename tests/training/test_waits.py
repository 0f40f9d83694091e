"""A training step never asks the device for a value, since the host would wait for all work that it queued there.

Without a GPU this is seen from the operations that read a value: torch dispatches one for each `float(tensor)`,
`bool(tensor)` or `tensor.item()`, and the methods that copy to the host are counted too. What the host counts in a
batch before it sends it is not among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from petscale.study.cell import Cell
from petscale.training import loop as module
from petscale.training.batch import StepBatch, step_batch
from petscale.training.loop import Limits, Loop
from petscale.training.progress import Progress
from petscale.training.setup import Ready, prepare_cell
from training.bench import Bench
from training.test_recipe import make

# Operations whose result the host needs, or whose result's size depends on values.
READS = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal", "unique_dim", "_unique2")
COPIES = ("cpu", "numpy", "tolist", "item")


class Waits(TorchDispatchMode):
    """Counts what waits while it is entered, except on the host, which makes a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.on_host = False

    def count(self, name: str) -> None:
        if not self.on_host:
            self.found[name] += 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in READS:
            self.count(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Counts what waits in this context."""
    waits = Waits()

    def made_on_host(*args: Any) -> StepBatch:
        waits.on_host = True
        made = step_batch(*args)
        waits.on_host = False
        return made

    def counting(name: str) -> Any:
        original = getattr(torch.Tensor, name)

        def call(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            waits.count(name)
            return original(self, *args, **kwargs)

        return call

    with monkeypatch.context() as patch, waits:
        patch.setattr(module, "step_batch", made_on_host)
        for name in COPIES:
            patch.setattr(torch.Tensor, name, counting(name))
        yield waits.found


def loop_of(ready: Ready, folder: Path) -> Loop:
    made = Loop(ready, folder, Progress(None, ready.cell.steps), Limits())
    ready.model.train()
    made.train_step()  # the first step reports progress, for which it reads the loss
    return made


def cell_of(family: str, method: str) -> Cell:
    settings = {"steps": 50, "dropout": 0.1}
    if method in ("prompt", "bitfit"):
        options = {"tokens": 3} if method == "prompt" else {}
        return replace(make(family, "lora", **settings), method=method, options=options)
    return make(family, method, **settings)


@pytest.mark.parametrize(
    ("family", "method", "micro_batch"),
    [
        *product(["t5"], ["full", "lora", "adapter", "apet-discrete", "prompt", "bitfit"], [None]),
        *product(["bert"], ["full", "apet-discrete", "prompt"], [None]),
        *product(["t5", "bert"], ["lora"], [5]),
    ],
)
def test_a_step_reads_nothing(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, method: str, micro_batch: int | None
) -> None:
    ready = prepare_cell(cell_of(family, method), bench.inputs[family], micro_batch=micro_batch)
    loop = loop_of(ready, tmp_path)
    with counted(monkeypatch) as found:
        for _ in range(3):
            loop.train_step()
    assert found == Counter()
    assert len(loop.tally.read()) == 3


def test_one_read_loss_is_noticed(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step as it was, with `float(loss)` in it."""
    ready = prepare_cell(make("t5", "lora", steps=50), bench.inputs["t5"])
    loop = loop_of(ready, tmp_path)
    backward = module.backward

    def reading(*args: Any) -> torch.Tensor:
        loss = backward(*args)
        float(loss)
        return loss

    with counted(monkeypatch) as found:
        monkeypatch.setattr(module, "backward", reading)
        loop.train_step()
    assert found.total() >= 1


@pytest.mark.gpu
@pytest.mark.parametrize("family", ["t5", "bert"])
def test_a_step_on_a_gpu_never_waits(bench: Bench, tmp_path: Path, family: str) -> None:
    """CUDA itself says so: in this mode torch raises at a call that waits."""
    ready = prepare_cell(make(family, "lora", steps=50), bench.inputs[family])
    loop = loop_of(ready, tmp_path)
    loop.train_step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            loop.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
