"""Estimates: how many devices a cell takes, and what that does to its time and memory."""

from __future__ import annotations

from typing import Any

import pytest

from petscale.study.estimate import Cost
from petscale.workspace.dag import Dag
from petscale.workspace.plan import plan_document
from petscale.workspace.rungs import open_grid
from petscale.workspace.study_file import parse_study

XXL = "google/t5-v1_1-xxl"
STUDY: dict[str, Any] = {
    "name": "large",
    "ladders": [{"name": "T5", "backbones": ["google/t5-v1_1-small", XXL]}],
    "tasks": ["sst2"],
    "seeds": [1],
    "recipe": {"precision": "bfloat16"},
    "experiments": {"methods": {"methods": ["full", "lora"]}},
}


def costs(tmp_path: Any, **hardware: Any) -> dict[tuple[str, str], Cost]:
    dag = Dag.from_config({**STUDY, "hardware": hardware}, "large", tmp_path)
    return {(p.cell.backbone, p.cell.method): dag.cost(path) for path, p in dag.grid.cells.items()}


def test_a_cell_takes_the_fewest_devices_that_hold_it(tmp_path: Any) -> None:
    found = costs(tmp_path, max_devices=8)
    assert {key: cost.devices for key, cost in found.items() if cost.devices > 1} == {(XXL, "full"): 4}
    assert found[XXL, "full"].memory < 80e9
    one = costs(tmp_path)[XXL, "full"]
    assert one.devices == 1 and one.memory > 200e9  # states of 11 billion scalars at 16 bytes
    # Device-hours grow by start-up and overhead alone; checkpoints of whole states need host memory.
    assert one.device_hours < found[XXL, "full"].device_hours < 1.6 * one.device_hours
    assert found[XXL, "full"].host > 11e9 * 36


def test_parts_of_a_batch_need_less_memory(tmp_path: Any) -> None:
    whole, parts = costs(tmp_path), costs(tmp_path, micro_batch=4)
    assert all(parts[key].memory < whole[key].memory for key in whole)
    assert all(parts[key].seconds == whole[key].seconds for key in whole)


def test_hardware_changes_no_cell_and_reaches_the_trainer(tmp_path: Any) -> None:
    """What is passed on is no reason to run a cell again, so paths and versions stay as they are."""
    plain = Dag.from_config(STUDY, "large", tmp_path)
    spread = Dag.from_config({**STUDY, "hardware": {"max_devices": 8, "micro_batch": 2}}, "large", tmp_path)
    assert list(plain.grid.cells) == list(spread.grid.cells)
    full = next(path for path, p in plain.grid.cells.items() if p.cell.method == "full" and p.cell.backbone == XXL)
    assert plain.cell_spec(full) == spread.cell_spec(full)
    assert (plain.placement(full), spread.placement(full)) == ("", "--devices 4 --micro-batch 2")


@pytest.mark.parametrize("devices, fits", [(1, False), (8, True)])
def test_the_plan_says_what_does_not_fit(devices: int, fits: bool) -> None:
    document = plan_document(open_grid(parse_study({**STUDY, "hardware": {"max_devices": devices}}, "large")))
    assert [(row["backbone"], row["fits"]) for row in document["totals"]] == [
        ("google/t5-v1_1-small", True),
        (XXL, fits),
    ]
