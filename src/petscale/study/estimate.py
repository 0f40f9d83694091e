"""Estimates of what a cell or a transfer will cost, by formulas from the plan, before anything runs.

They serve to size jobs and budgets. They assume that matrix products dominate, that sequences have `FILL` of their
maximum length, and that the device reaches a fixed share of its peak (`hardware` in the study file).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from petscale.families.family import Family
from petscale.families.registry import family_of, total_parameters
from petscale.families.shape import BackboneShape
from petscale.mini.tasks import SIZES
from petscale.study.cell import Cell, DataSpec
from petscale.study.config import Hardware
from petscale.study.flop import training_flop
from petscale.study.measurement import Measurement
from petscale.tasks import Task

FILL = 0.5  # mean sequence length divided by the maximum; 0.3 to 0.7 was measured on slices of the papers' tasks
DECODING = 0.25  # overhead of generating one token of free text, as a share of that of a step; mini-qa took less
# Bytes per token, layer and hidden unit in 16 bits (Korthikanti et al. 2022, equation 2, without attention scores).
ACTIVATION_BYTES = 34
_RECORD_BYTES = 64_000  # curve, record, metrics and predictions of a typical cell
_TRANSFER_BYTES = 4_000
_MEASUREMENT_BYTES = 8_000
_GB = 1e9


@dataclass(frozen=True)
class Rows:
    """Numbers of rows of a task's splits in a study. The true numbers may be smaller, since flawed rows are dropped."""

    train: int
    dev: int
    test: int
    further: int = 0  # of all further test sets together

    @property
    def total(self) -> int:
        """Rows of all splits."""
        return self.train + self.dev + self.test + self.further


@dataclass(frozen=True)
class Cost:
    """Estimates of one cell or transfer.

    Attributes:
        seconds: wall time on its devices.
        memory: bytes on each device.
        disk: bytes of its outputs.
        devices: number of devices of one node that it uses.
        host: bytes of host memory of all its processes together.
    """

    seconds: float
    memory: float
    disk: float
    devices: int
    host: float

    @property
    def device_hours(self) -> float:
        """Hours for which its devices are in use, summed over devices."""
        return self.seconds * self.devices / 3600


def estimate(cell: Cell, task: Task, shape: BackboneShape, trainable: int, hardware: Hardware) -> Cost:
    """Cost of one cell on the fewest devices on which it fits (on `hardware.max_devices` if it fits on none)."""
    rows = rows_of(cell.data, task)
    evaluations = 1 + cell.steps // cell.evaluate_every
    scoring, batches = _scoring(rows.dev * evaluations + rows.test + rows.further, cell.batch_size, task, shape)
    family = family_of(shape)
    length = tokens_of(task, family)
    flop = training_flop(cell, shape, cell.steps * cell.batch_size * length) + scoring
    steps = cell.steps + batches
    peak = hardware.tflops * 1e12 * hardware.utilisation

    def memory(devices: int) -> float:
        return _memory(cell, task, shape, trainable, hardware.micro_batch, devices)

    # Shards are float32, so full fine-tuning with other masters has one device.
    most = 1 if cell.method == "full" and cell.masters != "float32" else hardware.max_devices
    options = list(_device_counts(min(most, cell.batch_size)))
    devices = next((count for count in options if memory(count) <= hardware.memory_gb * _GB), options[-1])
    host = memory(1)
    if devices > 1:
        # Each process maps the weights. For a checkpoint, the first process gathers values, best values and two
        # moments, and holds them again as bytes of the file; it also keeps the initial values, to count changed
        # entries.
        host = devices * (total_parameters(shape) * _weight_bytes(cell) + 1.5 * _GB) + 9 * _state_bytes(cell, trainable)
    return Cost(
        seconds=hardware.startup_s + flop / (peak * devices) + steps * hardware.step_overhead_ms / 1e3,
        memory=memory(devices),
        disk=_state_bytes(cell, trainable) + _RECORD_BYTES,
        devices=devices,
        host=host,
    )


def estimate_measurement(
    measurement: Measurement, task: Task, shape: BackboneShape, trainable: int, hardware: Hardware
) -> Cost:
    """Cost of measuring a method on one device: its training steps, and inference before and after the merge."""
    cell = measurement.cell
    batches = 2 * (measurement.warmup_steps + measurement.steps)
    flop, overheads = _scoring(batches * cell.batch_size, cell.batch_size, task, shape)
    flop += training_flop(cell, shape, cell.steps * cell.batch_size * tokens_of(task, family_of(shape)))
    peak = hardware.tflops * 1e12 * hardware.utilisation
    memory = _memory(cell, task, shape, trainable, measurement.micro_batch, devices=1)
    return Cost(
        seconds=hardware.startup_s + flop / peak + (cell.steps + overheads) * hardware.step_overhead_ms / 1e3,
        memory=memory,
        disk=_MEASUREMENT_BYTES,
        devices=1,
        host=memory,
    )


def estimate_transfer(source: Cell, target: DataSpec, task: Task, shape: BackboneShape, hardware: Hardware) -> Cost:
    """Cost of scoring a source cell on the test rows of a target task, on one device."""
    flop, batches = _scoring(rows_of(target, task).test, source.batch_size, task, shape)
    peak = hardware.tflops * 1e12 * hardware.utilisation
    memory = total_parameters(shape) * _weight_bytes(source) + 1.5 * _GB
    return Cost(
        seconds=hardware.startup_s + flop / peak + batches * hardware.step_overhead_ms / 1e3,
        memory=memory,
        disk=_TRANSFER_BYTES,
        devices=1,
        host=memory,
    )


def _weight_bytes(cell: Cell) -> int:
    return 4 if cell.precision == "float32" else 2


def _state_bytes(cell: Cell, trainable: int) -> int:
    """Bytes of the trained values; their gradients and each of their two moments take as many."""
    return trainable * (4 if cell.masters == "float32" else 2)


def _memory(
    cell: Cell, task: Task, shape: BackboneShape, trainable: int, micro_batch: int | None, devices: int
) -> float:
    """Bytes on each of some devices that train a cell."""
    family, bytes_each = family_of(shape), _weight_bytes(cell)
    layers = family.layers(shape)
    example = ACTIVATION_BYTES * bytes_each / 2 * tokens_of(task, family) * shape.d_model * layers
    if cell.gradient_checkpointing:
        example /= max(1, layers) ** 0.5
    share = -(-cell.batch_size // devices)
    at_once = min(share, micro_batch or share)
    # Only full fine-tuning shards its states. Each device holds all weights, if only while it scores.
    shards = devices if cell.method == "full" else 1
    states = 4 * _state_bytes(cell, trainable) / shards
    return total_parameters(shape) * bytes_each + states + at_once * example + 1.5 * _GB


def rows_of(data: DataSpec, task: Task) -> Rows:
    """Rows of each split. Local data are assumed to have the published number of rows, since no file is read here."""
    shots = data.few_shot * max(1, len(task.labels or ())) if data.few_shot else None
    dev = shots or data.dev_size
    if task.hub is not None:
        train, test, *further = (task.hub.published(split)[0] for split in task.hub.splits)
        train = max(train - dev, 0)
    else:
        train, test, further = SIZES["train"], SIZES["test"], []
        dev = min(dev, SIZES["dev"])
    return Rows(
        train=shots or min(train, data.max_train or train),
        dev=dev,
        test=min(test, data.max_test or test),
        further=sum(min(rows, data.max_test or rows) for rows in further),
    )


def tokens_of(task: Task, family: Family) -> float:
    """Mean number of tokens of an example as a family reads it, with its target."""
    return FILL * family.source_length(task) + task.target_length


def row_tokens(task: Task) -> float:
    """Mean number of tokens of a prepared row, which has the complete source and the target."""
    return FILL * task.source_length + task.target_length


def _scoring(rows: int, batch_size: int, task: Task, shape: BackboneShape) -> tuple[float, float]:
    """FLOP of scoring rows, and its overhead in steps: one per batch, and a share of one per token of free text."""
    batches, family = rows / batch_size, family_of(shape)
    return (
        2 * family.matrix_parameters(shape) * rows * tokens_of(task, family),
        batches * (1 if task.has_labels else 1 + DECODING * task.target_length),
    )


def _device_counts(most: int) -> Iterator[int]:
    """1, 2, 4, ... up to `most`."""
    count = 1
    while count <= most:
        yield count
        count *= 2
