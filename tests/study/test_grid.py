"""The identity of a cell covers only what determines its numbers, so experiments and studies share cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from petscale.study.cell import Cell
from petscale.study.grid import Grid
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import load_study, parse_study
from study.test_config import changed


def grid(**changes: Any) -> Grid:
    return open_grid(parse_study(changed(**changes), "study.yaml"))


def test_experiments_share_cells() -> None:
    """`lora` is asked for by two experiments and is planned once, with both names on it."""
    both = grid(experiments={"methods": {"methods": ["full", "lora"]}, "structure": {"groups": ["lora"]}})
    lora = [planned for path, planned in both.cells.items() if "/lora/" in path]
    assert len(lora) == 1
    assert lora[0].experiments == ("methods", "structure")
    assert lora[0].matches == ("lora",)


def test_studies_share_cells() -> None:
    """Names, descriptions, analysis settings and hardware are labels: the cells are the same."""
    one = grid()
    other = grid(name="other", description="words", hardware={"tflops": 1.0}, analysis={"seed": 3})
    assert list(one.cells) == list(other.cells)


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": {"steps": 5, "evaluate_every": 2}},
        {"recipe": {"steps": 4, "evaluate_every": 2, "dropout": 0.2}},
        {"recipe": {"steps": 4, "evaluate_every": 2, "precision": "bfloat16"}},
        {"data": {"source": "mini", "dev_size": 10}},
        {"method_options": {"lora": {"rank": 2}, "full": {}}},
    ],
)
def test_what_determines_numbers_changes_the_identity(changes: dict[str, Any]) -> None:
    before, after = set(grid().cells), set(grid(**changes).cells)
    assert before != after


def test_few_shot_reaches_every_kind_of_task() -> None:
    """docs/tasks.md: k rows where there are no classes; a study that asks for k shots never trains on all rows."""
    kinds = ["mini-sentiment", "mini-inference", "mini-paraphrase", "mini-qa", "mini-summary"]
    cells = grid(tasks=kinds, data={"source": "mini", "few_shot": 16}).cells.values()
    assert {(p.cell.task, p.cell.data.few_shot) for p in cells} == {(task, 16) for task in kinds}


def test_a_ladder_runs_its_own_tasks_only() -> None:
    ladders = [
        {"name": "one", "backbones": ["mini-t5-small"], "tasks": ["mini-sentiment", "mini-opinion"]},
        {"name": "all", "backbones": ["mini-t5-base"]},
    ]
    tasks = ["mini-sentiment", "mini-opinion", "mini-inference"]
    asked = {"methods": {"methods": ["full"]}, "transfer": {"structures": ["apet-discrete"], "match": "lora"}}
    made = grid(ladders=ladders, tasks=tasks, experiments=asked)
    used = {(planned.cell.backbone, planned.cell.task) for planned in made.cells.values()}
    assert used == {("mini-t5-small", name) for name in tasks[:2]} | {("mini-t5-base", name) for name in tasks}
    targets = {(transfer.source.cell.backbone, transfer.target.task) for transfer in made.transfers}
    assert targets == used


def test_adding_a_seed_or_a_method_only_adds_cells() -> None:
    before = set(grid().cells)
    assert before < set(grid(seeds=[1, 2]).cells)
    assert before < set(grid(experiments={"methods": {"methods": ["full", "lora", "bitfit"]}}).cells)


def test_a_rate_for_one_method_changes_only_its_cells() -> None:
    recipe = {"steps": 4, "evaluate_every": 2, "learning_rate_by_method": {"full": 0.5, "prompt": 0.03}}
    before = set(grid().cells)
    after = set(grid(recipe=recipe).cells)
    assert {path for path in before ^ after if "/lora/" in path} == set()
    assert {path.split("/")[2] for path in before ^ after} == {"full"}


def test_thresholds_try_the_recipe_s_own_rate_of_each_task() -> None:
    """Su et al. B.3 gives RTE a rate of its own: a list of rates for all tasks must not put it aside."""
    cells = grid(
        tasks=["mini-sentiment", "mini-inference"],
        recipe={
            "steps": 4,
            "evaluate_every": 2,
            "learning_rate": 3e-4,
            "learning_rate_by_task": {"mini-inference": 5e-5},
        },
        experiments={"threshold": {"methods": ["apet-discrete"], "budgets": [8, 64], "learning_rates": [1e-4, 3e-4]}},
    ).cells.values()
    swept = [p.cell for p in cells if p.cell.budget]
    assert len(swept) == 2 * (2 + 3)
    rates = {
        task: {cell.learning_rate for cell in swept if cell.task == task}
        for task in ("mini-sentiment", "mini-inference")
    }
    assert rates == {"mini-sentiment": {1e-4, 3e-4}, "mini-inference": {5e-5, 1e-4, 3e-4}}


def test_full_fine_tuning_tries_as_many_rates_as_a_swept_budget() -> None:
    """Otherwise budgets with the best of four rates are compared with full fine-tuning at one, and seem to reach it."""
    asked = {"methods": ["apet-discrete"], "budgets": [8, 64], "learning_rates": [1e-4, 3e-4, 1e-3]}
    recipe = {"steps": 4, "evaluate_every": 2, "learning_rate": 3e-4, "learning_rate_by_method": {"full": 6e-5},
              "learning_rate_by_task": {"mini-inference": 5e-5}}  # fmt: skip
    tasks = ["mini-sentiment", "mini-inference"]
    cells = [p.cell for p in grid(tasks=tasks, recipe=recipe, experiments={"threshold": asked}).cells.values()]
    for task, rates in zip(tasks, ({2e-5, 6e-5, 2e-4}, {1e-5, 2e-5, 6e-5, 2e-4}), strict=True):
        full = {cell.learning_rate for cell in cells if (cell.method, cell.task) == ("full", task)}
        swept = {cell.learning_rate for cell in cells if (cell.budget, cell.task) == (8, task)}
        assert full == rates
        assert len(full) == len(swept)
        assert len([cell for cell in cells if (cell.method, cell.task) == ("frozen", task)]) == 1  # trains nothing


@pytest.mark.parametrize("name", ["su2023", "su2023-small"])
def test_the_paper_s_sweeps_hold_the_paper_s_rates(root: Path, name: str) -> None:
    """Figure 7 at B.3's rates: 5e-5 on RTE, 3e-4 on the others, whatever else is tried."""
    study = load_study(root / "studies" / f"{name}.yaml")
    swept = [p.cell for p in open_grid(study).cells.values() if p.cell.budget and "threshold" in p.experiments]
    for task in {cell.task for cell in swept}:
        budgets = {cell.budget for cell in swept if cell.task == task}
        rate = 5e-5 if task == "rte" else 3e-4
        assert {cell.budget for cell in swept if (cell.task, cell.learning_rate) == (task, rate)} == budgets


def test_matched_budget_is_exact() -> None:
    """APET cells of group `lora` train exactly as many scalars as LoRA."""
    planned = grid(experiments={"structure": {"groups": ["lora"]}}).cells.values()
    budgets = {p.cell.budget for p in planned if p.cell.method.startswith("apet")}
    assert len(budgets) == 1
    shape = next(iter(planned)).backbone.shape
    rank, blocks = 8, shape.layers + shape.decoder_layers
    assert budgets == {blocks * 2 * rank * (shape.d_model + shape.inner)}


def test_mask_seed_is_apart_from_the_training_seed() -> None:
    def masks(**changes: Any) -> list[int | None]:
        asked = grid(experiments={"structure": {"groups": ["lora"]}}, seeds=[1, 2], **changes)
        return sorted({p.cell.mask_seed for p in asked.cells.values() if p.cell.budget}, key=str)

    assert masks() == [1, 2]
    assert masks(mask_seed=7) == [7]


def test_spec_survives_the_command_line() -> None:
    for planned in grid(experiments={"structure": {}}).cells.values():
        again = Cell.from_spec(planned.cell.spec())
        assert again == planned.cell
        assert again.path == planned.cell.path


def test_encoders_take_classification_only() -> None:
    """Su et al. section 4.1."""
    asked = grid(
        ladders=[{"name": "mini-bert", "backbones": ["mini-bert-small"]}],
        tasks=["mini-sentiment", "mini-qa"],
    )
    assert {p.cell.task for p in asked.cells.values()} == {"mini-sentiment"}
    assert {p.cell.head for p in asked.cells.values()} == {"trained"}


def test_paths_are_unique_and_readable() -> None:
    cells = grid(experiments={"structure": {}, "threshold": {"budgets": [8, 64]}}).cells
    assert len({p.cell.digest for p in cells.values()}) == len(cells)
    for path, planned in cells.items():
        backbone, task, method, seed = path.split("/")
        assert (backbone, task) == (planned.cell.backbone, planned.cell.task)
        assert method.startswith(planned.cell.method)
        assert seed == f"seed{planned.cell.seed}-{planned.cell.digest}"
