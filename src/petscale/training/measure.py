"""Measures one method alone on its device: speed, memory, work, energy and storage (docs/efficiency.md).

The training steps are those of the loop that trains cells, and the answers those by which cells are scored. Nothing is
kept of the trained values.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from petscale.backbones.folder import read_manifest
from petscale.backbones.load import check_model
from petscale.cells.efficiency import EfficiencyRecord, Merged, Sizes, Speed, Work, write_efficiency
from petscale.cells.published import DELTA
from petscale.data.batches import epoch_batches
from petscale.errors import BadInput, OutOfMemory, PetscaleError
from petscale.families.family import Family
from petscale.families.registry import lookup, total_parameters
from petscale.scoring.evaluate import input_batches
from petscale.study.flop import training_flop
from petscale.study.measurement import Measurement, code_versions, measured_code
from petscale.training.batch import step_batch
from petscale.training.loop import Limits, Loop
from petscale.training.meters import counted_flop, speed_of
from petscale.training.progress import Progress
from petscale.training.provenance import capture
from petscale.training.run import is_lack_of_memory
from petscale.training.setup import Inputs, Ready, prepare_cell
from petscale.training.telemetry import peak_memory, reset_peak_memory
from petscale.tuning.files import HEAD, save_delta


def measure(measurement: Measurement, inputs: Inputs, out: Path) -> EfficiencyRecord:
    """Measure, and write the record last, so that a measurement that was killed leaves none.

    Args:
        measurement: what to measure.
        inputs: the folders of tokens and backbone.
        out: the record's file.

    Raises:
        BadInput: an input is missing or corrupt, or the measurement was planned for other code.
        OutOfMemory: the device or the host has too little memory.
    """  # noqa: DOC501  what is raised again are these two
    try:
        with tempfile.TemporaryDirectory(prefix="petscale-") as scratch:
            record = _measured(measurement, inputs, Path(scratch))
    except PetscaleError:
        raise
    except Exception as error:
        if not is_lack_of_memory(error):
            raise
        raise OutOfMemory(f"{measurement.path}: out of memory: {error or type(error).__name__}") from None
    write_efficiency(out, record)
    return record


def _measured(measurement: Measurement, inputs: Inputs, scratch: Path) -> EfficiencyRecord:
    cell, began = measurement.cell, time.time()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.use_deterministic_algorithms(True, warn_only=True)  # as cells are trained
    family = lookup(read_manifest(inputs.backbone)["shape"]["family"])
    if measurement.versions != code_versions(cell.method, family.name):
        raise BadInput(f"{measurement.path}: planned for other code ({measurement.versions}); run `snakemake` again")
    before = _memory_before(inputs, family)
    ready = prepare_cell(cell, inputs, micro_batch=measurement.micro_batch)
    if ready.task.name != cell.task:
        raise BadInput(f"{inputs.tokens}: tokens of task {ready.task.name}, but the cell's task is {cell.task}")
    loop = Loop(ready, scratch / "state", _Quiet(None, cell.steps), Limits())
    ready.model.train()
    reset_peak_memory(ready.device)  # what loading needed for a moment is no memory of training
    for _ in range(measurement.warmup_steps):
        loop.train_step()
    training = speed_of(lambda: _train(loop), measurement.steps, ready.device, scratch)
    on_gpu = ready.device.type == "cuda"
    peak = peak_memory(ready.device) - (0 if on_gpu else before)
    work = _work(loop)
    ready.model.eval()
    inference = _inference(ready, measurement, scratch)
    stored = _stored_bytes(ready, scratch)
    merged, not_merged = _merged(ready, measurement, scratch)
    provenance = capture(ready.device)
    return EfficiencyRecord(
        measurement=measurement.path,
        digest=measurement.digest,
        spec=measurement.spec(),
        device=provenance["gpu"]["name"] if on_gpu else provenance["processor"],
        training=training,
        inference=inference,
        merged=merged,
        not_merged=not_merged,
        peak_memory=peak,
        memory_by="device allocations" if on_gpu else "resident set above that before the model",
        work=work,
        sizes=Sizes(
            trainable=ready.plan.trainable,
            deployed=ready.plan.deployed,
            total=total_parameters(ready.shape),
            stored_bytes=stored,
        ),
        began=began,
        ended=time.time(),
        hashes={**ready.hashes, "code": measured_code(cell.method, family.name)},
        provenance=provenance,
    )


class _Quiet(Progress):
    """Reports no step, because reading a loss waits for the device."""

    def is_due(self, step: int) -> bool:
        return False


def _memory_before(inputs: Inputs, family: Family) -> int:
    """Bytes of the process before the model is there, but with all code that it needs."""
    check_model(inputs.backbone, family)  # imports the code of the model, and reads no weights
    layer = nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    layer(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    reset_peak_memory(torch.device("cpu"))
    return peak_memory(torch.device("cpu"))


def _train(loop: Loop) -> int:
    before = loop.journey.tokens
    loop.train_step()
    return loop.journey.tokens - before


def _work(loop: Loop) -> Work:
    before = loop.journey.tokens
    counted = counted_flop(loop.train_step)
    tokens = loop.journey.tokens - before
    return Work(counted=counted, formula=training_flop(loop.cell, loop.ready.shape, tokens), tokens=tokens)


def _inference(ready: Ready, measurement: Measurement, scratch: Path) -> Speed:
    """The speed of the answers by which cells are scored, on batches of the recipe's size from the test rows."""
    batches = _batches(ready)
    for _ in range(measurement.warmup_steps):
        _answer(ready, next(batches))
    return speed_of(lambda: _answer(ready, next(batches)), measurement.steps, ready.device, scratch)


def _batches(ready: Ready) -> Iterator[NDArray[np.int64]]:
    """Batches of the test rows without end, in an order that the seed decides, as that of training."""
    lengths = ready.tokens.split("test").lengths
    for epoch in count():
        yield from epoch_batches(lengths, ready.cell.batch_size, ready.cell.seed, epoch)


def _answer(ready: Ready, indices: NDArray[np.int64]) -> int:
    """Answer one batch; returns the tokens that were read and written."""
    examples = ready.tokens.split("test")
    batches = input_batches(examples, ready.family, ready.device, [indices])
    with torch.no_grad(), ready.autocast():
        # Texts are not decoded: comparing them with references would take time that is not the model's.
        answers = ready.family.answer(ready.model, examples, ready.task, ready.cell.labels, lambda ids: "", batches)
    return int(examples.lengths[indices].sum()) + answers.written


def _merged(ready: Ready, measurement: Measurement, scratch: Path) -> tuple[Merged | None, str | None]:
    """Inference after the merge, or why the method cannot be merged exactly, which each of its operations knows."""
    before = _logits(ready)
    try:
        ready.delta.merge()
    except BadInput as error:
        return None, str(error)
    difference = float((_logits(ready) - before).abs().max())
    return Merged(speed=_inference(ready, measurement, scratch), difference=difference), None


def _logits(ready: Ready) -> Tensor:
    examples = ready.tokens.split("train")
    indices = np.arange(min(len(examples), ready.cell.batch_size))
    batch = step_batch(ready.family.collate(examples, indices), ready.family, ready.device)
    with torch.no_grad(), ready.autocast():
        output: Any = ready.model(**batch.tensors)
    logits: Tensor = output.logits.float()
    return logits


def _stored_bytes(ready: Ready, scratch: Path) -> int:
    """Size of the file that a cell of the method publishes."""
    head = {HEAD + name: value for name, value in ready.head.items()}
    about = {"cell": ready.cell.path, "backbone": ready.cell.backbone}
    save_delta(scratch / DELTA, ready.delta, extra_tensors=head, metadata=about)
    return (scratch / DELTA).stat().st_size
