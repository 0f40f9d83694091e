"""What a cell will cost: closed formulas from the plan, before anything runs.

They are estimates for sizing jobs and budgets, not measurements: matrix products dominate, sequences are taken at
`FILL` of their maximum length, and the device reaches a fixed share of its peak (`hardware` in the study file).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from petscale.backbones.shape import BackboneShape
from petscale.study.cell import Cell
from petscale.study.config import Hardware
from petscale.tasks import Task

FILL = 0.5  # mean sequence length over its maximum; measured 0.3 to 0.7 on the papers' tasks' slices
DEFAULT_TEST = 2_000  # rows scored where the study sets no limit
# Bytes a token, layer and hidden unit in 16 bits (Korthikanti et al. 2022, equation 2, attention scores left out).
ACTIVATION_BYTES = 34
_RECORD_BYTES = 64_000  # curve, record, metrics and predictions of a typical cell
_GB = 1e9


@dataclass(frozen=True)
class Cost:
    """Estimates of one cell.

    Attributes:
        seconds: wall time on its devices.
        memory: bytes on each device.
        disk: bytes that it leaves.
        devices: how many devices of one node it takes.
        host: bytes of host memory of all its processes together.
    """

    seconds: float
    memory: float
    disk: float
    devices: int
    host: float

    @property
    def device_hours(self) -> float:
        """Hours that its devices are taken, summed over them."""
        return self.seconds * self.devices / 3600


def estimate(cell: Cell, task: Task, shape: BackboneShape, trainable: int, hardware: Hardware) -> Cost:
    """Cost of one cell, on the fewest devices that hold it (`hardware.max_devices` where none does).

    A forward pass takes 2 FLOP a parameter and token, a backward pass of activations 2 more, and of weights another 2
    in full fine-tuning (Kaplan et al. 2020, section 2.1); vocabulary look-ups are free.
    """
    body = shape.parameters - shape.vocab * shape.d_model
    length = FILL * (task.source_length if shape.family != "bert" else task.bert_length) + task.target_length
    train_tokens = cell.steps * cell.batch_size * length
    evaluations = 1 + (cell.steps // cell.evaluate_every)
    eval_tokens = length * (cell.data.dev_size * evaluations + (cell.data.max_test or DEFAULT_TEST))
    per_token = 6 if cell.method == "full" else 4
    flop = per_token * body * train_tokens + 2 * body * eval_tokens
    steps = cell.steps + eval_tokens / (length * cell.batch_size)
    peak = hardware.tflops * 1e12 * hardware.utilisation
    bytes_each = 4 if cell.precision == "float32" else 2
    layers = shape.layers + shape.decoder_layers
    example = ACTIVATION_BYTES * bytes_each / 2 * length * shape.d_model * layers
    if cell.gradient_checkpointing:
        example /= max(1, layers) ** 0.5

    def memory(devices: int) -> float:
        share = -(-cell.batch_size // devices)
        at_once = min(share, hardware.micro_batch or share)
        # Only full fine-tuning shards its states; weights are whole on each device, always or while it scores.
        shards = devices if cell.method == "full" else 1
        return shape.parameters * bytes_each + trainable * 16 / shards + at_once * example + 1.5 * _GB

    options = list(_device_counts(min(hardware.max_devices, cell.batch_size)))
    devices = next((count for count in options if memory(count) <= hardware.memory_gb * _GB), options[-1])
    host = memory(1)
    if devices > 1:
        # Each process maps the weights. For a checkpoint values, best values and two moments meet in the first, and
        # once more as the bytes of the file; the start is kept for the count of what changed.
        host = devices * (shape.parameters * bytes_each + 1.5 * _GB) + trainable * 4 * 9
    return Cost(
        seconds=hardware.startup_s + flop / (peak * devices) + steps * hardware.step_overhead_ms / 1e3,
        memory=memory(devices),
        disk=trainable * 4 + _RECORD_BYTES,
        devices=devices,
        host=host,
    )


def _device_counts(most: int) -> Iterator[int]:
    """1, 2, 4, ... up to `most`."""
    count = 1
    while count <= most:
        yield count
        count *= 2
