"""A study plans one measurement for each method and repeat, and full fine-tuning, and none of them is a cell."""

from __future__ import annotations

from typing import Any

import pytest

from petscale.errors import BadInput
from petscale.study.config import Hardware
from petscale.study.estimate import estimate_measurement
from petscale.study.grid import Grid
from petscale.study.measurement import Measurement
from petscale.tasks import TASKS
from petscale.workspace.dag import Dag
from petscale.workspace.grid import open_grid
from petscale.workspace.plan import plan_document
from petscale.workspace.study_file import parse_study

SMALL = "google/t5-v1_1-small"
STUDY: dict[str, Any] = {
    "name": "speeds",
    "ladders": [{"name": "T5", "backbones": [SMALL]}],
    "tasks": ["sst2"],
    "seeds": [1, 2],
    "experiments": {"efficiency": {"methods": ["lora", "prompt"], "warmup_steps": 3, "steps": 8}},
}


def grid_of(**changes: Any) -> Grid:
    return open_grid(parse_study({**STUDY, **changes}, "speeds"))


def test_full_fine_tuning_is_measured_too_and_nothing_is_a_cell() -> None:
    grid = grid_of()
    found = {(each.measurement.cell.method, each.measurement.cell.seed) for each in grid.measurements.values()}
    assert found == {(method, seed) for method in ("full", "lora", "prompt") for seed in (1, 2)}
    assert not grid.cells
    for path, each in grid.measurements.items():
        assert each.measurement.path == path
        assert Measurement.from_spec(each.measurement.spec()) == each.measurement
        assert each.measurement.cell.steps == 3 + 8 + 1


def test_what_numbers_depend_on_is_part_of_the_path() -> None:
    """The device, the examples at once, the steps and the recipe; not the number of steps that cells train."""
    plain = set(grid_of().measurements)
    for changes in (
        {"hardware": {"name": "another device"}},
        {"hardware": {"micro_batch": 4}},
        {"recipe": {"batch_size": 8}},
        {"experiments": {"efficiency": {"methods": ["lora", "prompt"], "warmup_steps": 3, "steps": 9}}},
    ):
        assert not plain & set(grid_of(**changes).measurements)
    assert plain == set(grid_of(recipe={"steps": 7, "evaluate_every": 7}, hardware={"gpus": False}).measurements)


def test_a_raised_version_makes_another_path(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(grid_of().measurements)
    monkeypatch.setattr("petscale.study.measurement.version", lambda *_: 99)
    assert not before & set(grid_of().measurements)


def test_cells_of_other_experiments_stay_as_they_were() -> None:
    methods = {"methods": {"methods": ["full", "lora"]}}
    both = grid_of(experiments={**methods, **STUDY["experiments"]})
    assert list(both.cells) == list(grid_of(experiments=methods).cells)


@pytest.mark.parametrize("method, said", [("frozen", "trains nothing"), ("apet-discrete", "takes a budget")])
def test_a_method_that_cannot_be_measured_is_refused_by_its_key(method: str, said: str) -> None:
    with pytest.raises(BadInput, match=rf"key experiments\.efficiency\.methods.*{said}"):
        grid_of(experiments={"efficiency": {"methods": [method]}})


def test_estimated_time_by_hand() -> None:
    """12 steps of 32 rows at 4 FLOP a parameter and token, and twice 11 batches of inference at 2."""
    grid = grid_of()
    each = next(m for m in grid.measurements.values() if m.measurement.cell.method == "lora")
    cost = estimate_measurement(each.measurement, TASKS["sst2"], each.cell.backbone.shape, 229_376, Hardware())
    body, length = 76_961_152 - 32_128 * 512, 64 + 3
    flop = (4 * 12 + 2 * 22) * body * 32 * length
    assert cost.seconds == pytest.approx(20 + flop / 90e12 + (12 + 22) * 0.025)
    assert cost.devices == 1
    document = plan_document(grid)
    assert [entry["method"] for entry in document["measurements"]] == ["full", "lora", "prompt"] * 2
    assert all(entry["fits"] and entry["hours"] > 0 for entry in document["measurements"])
    assert document["inputs"]["tokens_gb"] > 0


def test_look_ups_of_the_workflow(tmp_path: Any) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "requirements.lock").write_text("torch==2.13.0\n")
    dag = Dag.from_config(STUDY, "speeds", tmp_path)
    path = next(iter(dag.grid.measurements))
    assert dag.measurement_results[0] == f"results/measurements/{path}.json"
    inputs = dag.measurement_inputs(path)
    assert inputs["tokens"].startswith("results/tokens/") and inputs["backbone"].startswith("results/backbones/")
    assert all(data in inputs["tokens"] for data in dag.data)
    assert "measure 1, train" in dag.measurement_versions(path) and "pins" in dag.measurement_versions(path)
    assert dag.measurement_minutes(path) >= 5
    with pytest.raises(BadInput, match="no measurement"):
        dag.measurement_spec("x")
