"""Estimates give the right number of devices of a cell, and its effect on time and memory."""

from __future__ import annotations

from typing import Any

import pytest

from petscale.study.cell import DataSpec
from petscale.study.estimate import Cost, Rows, rows_of
from petscale.tasks import TASKS
from petscale.workspace.dag import Dag
from petscale.workspace.grid import open_grid
from petscale.workspace.plan import plan_document
from petscale.workspace.study_file import parse_study

XXL = "google/t5-v1_1-xxl"
COUNTS = ("trainable", "deployed", "touched", "rank")
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


def test_the_plan_has_the_counts_of_guideline_1() -> None:
    """T5-small: q and v of 16 self-attentions are 512 x 384, matrices of feed-forward networks 512 x 1,024.

    Masked pairs touch entries that a seed decides.
    """
    apet = {"operations": ["concat"]}
    experiments = {
        "structure": {"groups": ["lora"], "structures": ["apet-discrete"]},
        "methods": {"methods": ["bitfit"]},
    }
    study = {**STUDY, "ladders": [{"name": "T5", "backbones": ["google/t5-v1_1-small"]}], "experiments": experiments}
    for options, touched, rank in (({}, 229_376, 512), (apet, None, 8)):
        document = plan_document(open_grid(parse_study({**study, "method_options": {"apet-discrete": options}}, "s")))
        found = {cell["method"]: tuple(cell[key] for key in COUNTS) for cell in document["cells"]}
        assert found == {
            "full": (76_961_152, 0, 76_961_152, 512),
            "lora": (229_376, 0, 16 * 2 * 512 * 384, 8),
            "bitfit": (121_216, 121_216, 0, None),
            "apet-discrete": (229_376, 0, touched, rank),
        }


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.hub is not None])
def test_every_published_task_costs_its_own_rows(name: str) -> None:
    """A task without counts was taken for one of 2,000 test rows; QQP has 40,430."""
    hub = TASKS[name].hub
    assert hub is not None
    data = DataSpec(name, 1, "hub", hub.revision, 100, None, None, None, 0)
    rows = rows_of(data, TASKS[name])
    counts = [max(count) if isinstance(count, tuple) else count for count in hub.rows.values()]
    assert rows.total == sum(counts)
    assert rows.train + rows.dev == counts[list(hub.rows).index(hub.train)]
    assert rows.test == counts[list(hub.rows).index(hub.test)]


def test_rows_follow_the_study_s_limits() -> None:
    def rows(task: str, **data: Any) -> Rows:
        grid = open_grid(parse_study({**STUDY, "tasks": [task], "data": data}, "large"))
        return rows_of(next(iter(grid.cells.values())).cell.data, TASKS[task])

    assert rows("mnli") == Rows(392_202, 500, 9_815, 9_832)
    assert rows("mnli", max_train=1_000, max_test=300, dev_size=100) == Rows(1_000, 100, 300, 300)
    assert rows("mnli", few_shot=16) == Rows(48, 48, 9_815, 9_832)
    assert rows("nq_open", few_shot=16) == Rows(16, 16, 3_610)


def test_larger_test_sets_and_free_text_cost_more(tmp_path: Any) -> None:
    """An evaluation counts its own rows, and text is written token by token."""

    def seconds(**changes: Any) -> float:
        dag = Dag.from_config({**STUDY, **changes}, "large", tmp_path)
        return next(dag.cost(p).seconds for p, c in dag.grid.cells.items() if c.cell.backbone != XXL)

    assert seconds(tasks=["qqp"]) > seconds(tasks=["qqp"], data={"max_test": 2_000}) + 20
    assert seconds(tasks=["samsum"]) > 1.5 * seconds(tasks=["mrpc"])  # equal sources


def test_the_plan_s_totals_hold_transfers_and_inputs() -> None:
    """660 transfers on XXL are an evaluation each; its weights alone are 45 GB, twice while they are converted."""
    experiments = {"transfer": {"structures": ["apet-discrete"]}}
    study = parse_study({**STUDY, "tasks": ["sst2", "qqp", "mnli"], "experiments": experiments}, "large")
    document = plan_document(open_grid(study))
    small, xxl = document["totals"]
    assert (small["transfers"], xxl["transfers"]) == (6, 6)
    assert xxl["transfer_hours"] > small["transfer_hours"] > 6 * study.hardware.startup_s / 3600
    # To QQP twice, 40,430 rows of 128 + 6 tokens, at two FLOP a parameter and token.
    assert xxl["transfer_hours"] * 3600 * 90e12 > 2 * 40_430 * 134 * 2 * 11e9
    assert 2 * 4 * 11.2 < document["inputs"]["backbones_gb"] < 2 * 4 * 11.3
    # Three tasks of 130 tokens or so: 840,000 rows, each token 4 bytes.
    assert document["inputs"]["tokens_gb"] == pytest.approx(840_000 * 130 * 4e-9, rel=0.1)
    assert document["inputs"]["data_gb"] == pytest.approx(2 * document["inputs"]["tokens_gb"], rel=0.01)
