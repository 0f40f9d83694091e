"""Costs equal those computed by hand from docs/cost-model.md, and AdamW's memory that of torch's optimizer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from petscale.families.registry import total_parameters
from petscale.mini.tasks import rows as mini_rows
from petscale.study.config import Hardware
from petscale.study.estimate import Cost, Rows, estimate, estimate_transfer, row_tokens, rows_of
from petscale.study.grid import PlannedCell
from petscale.tasks import TASKS
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import parse_study

# T5 v1.1 small as published: 76,961,152 scalars, of which one vocabulary matrix (32,128 x 512) is only looked up.
PARAMETERS = 76_961_152
MATRICES = PARAMETERS - 32_128 * 512
LORA = 229_376
BLOCKS, WIDTH = 16, 512  # eight of the encoder, eight of the decoder
PEAK = 300e12 * 0.3  # the default hardware
ROOM = 1.5e9  # of a CUDA context and the like


def planned(method: str, task: str = "sst2", **changes: Any) -> PlannedCell:
    """A cell of 1,000 steps of 32 examples with 11 evaluations."""
    study = {
        "name": "costs",
        "ladders": [{"name": "T5", "backbones": ["google/t5-v1_1-small"]}],
        "tasks": [task],
        "seeds": [1],
        "recipe": {"steps": 1_000, "evaluate_every": 100, "precision": "bfloat16", **changes},
        "experiments": {"methods": {"methods": [method]}},
    }
    return next(iter(open_grid(parse_study(study, "costs")).cells.values()))


def cost(method: str, task: str = "sst2", hardware: dict[str, Any] | None = None, **changes: Any) -> Cost:
    cell = planned(method, task, **changes)
    trainable = {"full": PARAMETERS, "lora": LORA}[method]
    return estimate(cell.cell, TASKS[task], cell.backbone.shape, trainable, Hardware(**hardware or {}))


# SST-2: half of 128 tokens and the target's 3; 500 dev rows eleven times and 872 test rows.
LENGTH = 64 + 3
SCORED = 500 * 11 + 872
EXAMPLE = 34 * LENGTH * WIDTH * BLOCKS  # activations of one example in 16 bits


@pytest.mark.parametrize(("method", "per_token"), [("lora", 4), ("full", 6)])
def test_seconds(method: str, per_token: int) -> None:
    """2 FLOP a parameter and token forwards, 2 backwards, 2 more for weights; and 25 ms a step or scored batch."""
    trained = per_token * MATRICES * 1_000 * 32 * LENGTH
    scored = 2 * MATRICES * SCORED * LENGTH
    expected = 20 + (trained + scored) / PEAK + (1_000 + SCORED / 32) * 0.025
    assert cost(method).seconds == pytest.approx(expected, rel=1e-13)


def test_seconds_of_free_text() -> None:
    """SAMSum: 256 / 2 + 128 tokens; each written token costs a quarter of a step's overhead for its batch."""
    length, scored = 128 + 128, 500 * 11 + 819
    flop = (4 * 1_000 * 32 + 2 * scored) * MATRICES * length
    expected = 20 + flop / PEAK + (1_000 + scored / 32 * (1 + 128 / 4)) * 0.025
    assert cost("lora", "samsum").seconds == pytest.approx(expected, rel=1e-13)


def test_seconds_count_further_test_sets() -> None:
    """MNLI: 9,815 matched and 9,832 mismatched rows; half of an input's length, and the target."""
    length, scored = TASKS["mnli"].source_length / 2 + TASKS["mnli"].target_length, 500 * 11 + 9_815 + 9_832
    flop = (4 * 1_000 * 32 + 2 * scored) * MATRICES * length
    expected = 20 + flop / PEAK + (1_000 + scored / 32) * 0.025
    assert cost("lora", "mnli").seconds == pytest.approx(expected, rel=1e-13)


def test_bytes_of_a_trained_scalar_are_those_that_torch_s_adamw_holds() -> None:
    """The master in float32, its gradient, two moments: counted on a real step, then in the estimate."""
    parameter = torch.nn.Parameter(torch.zeros(1_000))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    assert parameter.grad is not None
    moments = [value for value in optimizer.state[parameter].values() if value.numel() > 1]
    held = sum(tensor.nbytes for tensor in (parameter, parameter.grad, *moments))
    cell = planned("lora")
    sizes = [
        estimate(cell.cell, TASKS["sst2"], cell.backbone.shape, trainable, Hardware()).memory
        for trainable in (LORA, LORA + 1_000)
    ]
    assert sizes[1] - sizes[0] == held == 16_000


@pytest.mark.parametrize(
    ("changes", "hardware", "weights", "at_once"),
    [
        ({}, {}, 2, 32 * EXAMPLE),
        ({"precision": "float32"}, {}, 4, 2 * 32 * EXAMPLE),
        ({"gradient_checkpointing": True}, {}, 2, 32 * EXAMPLE / 4),  # square root of the 16 blocks
        ({}, {"micro_batch": 5}, 2, 5 * EXAMPLE),
        ({}, {"micro_batch": 50}, 2, 32 * EXAMPLE),
    ],
)
def test_memory(changes: dict[str, Any], hardware: dict[str, Any], weights: int, at_once: float) -> None:
    expected = weights * PARAMETERS + 16 * LORA + at_once + ROOM
    found = cost("lora", hardware=hardware, **changes)
    assert found.memory == pytest.approx(expected, rel=1e-13)
    assert (found.devices, found.host) == (1, found.memory)


@pytest.mark.parametrize(
    ("layers", "at_once"), [(0, 0.0), (1, 34 * LENGTH * WIDTH * 32), (4, 2 * 34 * LENGTH * WIDTH * 32)]
)
def test_checkpointing_keeps_the_square_root_of_the_blocks(layers: int, at_once: float) -> None:
    cell = planned("lora", gradient_checkpointing=True)
    shape = replace(cell.backbone.shape, layers=layers, decoder_layers=0)
    found = estimate(cell.cell, TASKS["sst2"], shape, 0, Hardware()).memory
    assert found - 2 * total_parameters(shape) - ROOM == pytest.approx(at_once, rel=1e-9, abs=1)


def test_several_devices_share_the_batch_and_full_fine_tuning_its_states() -> None:
    """A device too small for the cell on one, two or four; at most eight are there."""
    for method, trainable, shards in (("lora", LORA, 1), ("full", PARAMETERS, 8)):
        found = cost(method, hardware={"max_devices": 15, "memory_gb": 0.1})
        assert found.devices == 8
        expected = 2 * PARAMETERS + 16 * trainable / shards + 4 * EXAMPLE + ROOM
        assert found.memory == pytest.approx(expected, rel=1e-13)
        # Weights and context in each process; nine copies of what is trained meet where checkpoints are written.
        assert found.host == pytest.approx(8 * (2 * PARAMETERS + ROOM) + 9 * 4 * trainable, rel=1e-13)
        flop = ((4 if method == "lora" else 6) * 1_000 * 32 + 2 * SCORED) * MATRICES * LENGTH
        seconds = 20 + flop / (8 * PEAK) + (1_000 + SCORED / 32) * 0.025
        assert found.seconds == pytest.approx(seconds, rel=1e-13)
        assert found.device_hours == pytest.approx(8 * seconds / 3600, rel=1e-13)


def test_devices_are_the_fewest_that_hold_the_cell_and_no_more_than_examples() -> None:
    two = 2 * PARAMETERS + 16 * PARAMETERS / 2 + 16 * EXAMPLE + ROOM
    assert cost("full", hardware={"max_devices": 8, "memory_gb": two / 1e9}).devices == 2
    on_two = cost("full", hardware={"max_devices": 2, "memory_gb": 0.1})
    assert on_two.host == pytest.approx(2 * (2 * PARAMETERS + ROOM) + 9 * 4 * PARAMETERS, rel=1e-13)
    assert cost("full", hardware={"max_devices": 8, "memory_gb": (two - 1) / 1e9}).devices == 4
    assert cost("full", hardware={"max_devices": 8, "memory_gb": 0.1}, batch_size=3).devices == 2


def test_disk() -> None:
    """A delta is four bytes a scalar; curve, record, metrics and predictions come to 64 KB."""
    assert cost("lora").disk == 4 * LORA + 64_000
    assert cost("full").disk == 4 * PARAMETERS + 64_000


@pytest.mark.parametrize(("precision", "bytes_each"), [("bfloat16", 2), ("float32", 4)])
def test_a_transfer_is_one_scoring(precision: str, bytes_each: int) -> None:
    source = planned("lora", precision=precision)
    target = planned("lora", "mrpc").cell.data
    found = estimate_transfer(source.cell, target, TASKS["mrpc"], source.backbone.shape, Hardware())
    tokens = TASKS["mrpc"].source_length / 2 + TASKS["mrpc"].target_length
    assert rows_of(target, TASKS["mrpc"]).test == 408
    seconds = 20 + 2 * MATRICES * 408 * tokens / PEAK + 408 / 32 * 0.025
    memory = bytes_each * PARAMETERS + ROOM
    assert found == Cost(pytest.approx(seconds, rel=1e-13), pytest.approx(memory, rel=1e-13), 4_000, 1, found.memory)


def test_a_transfer_at_another_peak() -> None:
    """Without start-up and overhead what is left is the arithmetic alone."""
    source, task = planned("lora"), TASKS["mrpc"]
    hardware = Hardware(tflops=7.0, utilisation=0.5, startup_s=0, step_overhead_ms=0)
    found = estimate_transfer(source.cell, planned("lora", "mrpc").cell.data, task, source.backbone.shape, hardware)
    flop = 2 * MATRICES * 408 * (task.source_length / 2 + task.target_length)
    assert found.seconds == pytest.approx(flop / 3.5e12, rel=1e-13)


def test_a_lower_peak_takes_longer() -> None:
    fast, slow = (cost("lora", hardware={"tflops": peak, "startup_s": 0, "step_overhead_ms": 0}) for peak in (20, 10))
    assert slow.seconds == pytest.approx(2 * fast.seconds, rel=1e-13)
    half = cost("lora", hardware={"tflops": 20, "utilisation": 0.15, "startup_s": 0, "step_overhead_ms": 0})
    assert half.seconds == pytest.approx(slow.seconds, rel=1e-13)


def test_rows_of_small_sets() -> None:
    """Dev rows come out of the training rows, and never take more than there are."""
    data = planned("lora").cell.data
    assert rows_of(replace(data, dev_size=67_000), TASKS["sst2"]).train == 349
    assert rows_of(replace(data, dev_size=70_000), TASKS["sst2"]).train == 0
    assert rows_of(replace(data, max_train=349), TASKS["sst2"]).train == 349
    assert rows_of(data, TASKS["sst2"]).total == 67_349 + 872


def test_rows_of_a_drawn_task_are_those_that_are_drawn() -> None:
    """Of the mini tasks no file is there to count, and their dev rows do not come out of the training rows."""
    data = replace(planned("lora").cell.data, dev_size=100)
    drawn = {split: len(mini_rows("mini-sentiment", split)) for split in ("train", "dev", "test")}
    assert rows_of(data, TASKS["mini-sentiment"]) == Rows(drawn["train"], 100, drawn["test"])
    assert rows_of(replace(data, dev_size=10**6), TASKS["mini-sentiment"]).dev == drawn["dev"]


def test_a_prepared_row_has_half_the_longest_source_and_its_target() -> None:
    assert row_tokens(TASKS["sst2"]) == 128 / 2 + 3
    assert row_tokens(TASKS["samsum"]) == 256 / 2 + 128
