"""What a cell will cost: closed formulas from the plan, before anything runs.

They are estimates for sizing jobs and budgets, not measurements: matrix products dominate, sequences are taken at
`FILL` of their maximum length, and the device reaches a fixed share of its peak (`hardware` in the study file).
"""

from __future__ import annotations

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
    """Estimates of one cell: seconds on one device, bytes of device memory, bytes on disk."""

    seconds: float
    memory: float
    disk: float


def estimate(cell: Cell, task: Task, shape: BackboneShape, trainable: int, hardware: Hardware) -> Cost:
    """Cost of one cell.

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
    seconds = flop / (hardware.tflops * 1e12 * hardware.utilisation) + steps * hardware.step_overhead_ms / 1e3
    bytes_each = 4 if cell.precision == "float32" else 2
    layers = shape.layers + shape.decoder_layers
    activations = ACTIVATION_BYTES * bytes_each / 2 * cell.batch_size * length * shape.d_model * layers
    if cell.gradient_checkpointing:
        activations /= max(1, layers) ** 0.5
    memory = shape.parameters * bytes_each + trainable * 16 + activations + 1.5 * _GB
    return Cost(hardware.startup_s + seconds, memory, trainable * 4 + _RECORD_BYTES)
