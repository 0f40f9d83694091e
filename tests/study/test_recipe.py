"""The recipe section: the paper's defaults, a method's rate before a task's, and cells that get what it says."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from petscale.study.config import Recipe
from petscale.study.grid import Grid
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import parse_study
from study.test_config import changed

RATES = Recipe(
    learning_rate=1.0,
    learning_rate_by_method={"apet-adjacent": 2.0, "apet": 3.0, "lora": 4.0},
    learning_rate_by_task={"rte": 5.0},
)


@pytest.mark.parametrize(
    ("method", "kind", "task", "rate"),
    [
        ("full", "full", "sst2", 1.0),  # nothing said of either
        ("full", "full", "rte", 5.0),  # the task's
        ("lora", "lora", "sst2", 4.0),  # the method's
        ("lora", "lora", "rte", 4.0),  # the method's goes before the task's
        ("apet-discrete", "apet", "sst2", 3.0),  # its kind's
        ("apet-discrete", "apet", "rte", 3.0),  # its kind's goes before the task's too
        ("apet-adjacent", "apet", "sst2", 2.0),  # its own name goes before its kind
        ("apet-adjacent", "apet", "rte", 2.0),
    ],
)
def test_a_method_s_rate_goes_before_a_task_s(method: str, kind: str, task: str, rate: float) -> None:
    assert RATES.rate(method, kind, task) == rate


@pytest.mark.parametrize(
    ("budget", "rate"),
    [
        (1, 0.02),  # the nearest rate below the first budget
        (1_000, 0.02),
        (10_000, 0.00632),  # half the way in orders of magnitude: sqrt(0.02 * 0.002)
        (100_000, 0.002),
        (10**9, 0.002),
        (None, 4.0),  # a method without a budget has its own rate
    ],
)
def test_the_rate_of_a_budget_lies_on_straight_lines_between_those_given(budget: int | None, rate: float) -> None:
    recipe = RATES.model_copy(update={"learning_rate_by_budget": {100_000: 0.002, 1_000: 0.02}})
    assert recipe.rate("lora", "lora", "sst2", budget) == rate


def test_a_share_of_warm_up_follows_the_steps_of_the_task() -> None:
    recipe = Recipe(steps=1_000, steps_by_task={"copa": 100}, warmup_share=0.06)
    assert (recipe.warmup_of("rte"), recipe.warmup_of("copa")) == (60, 6)
    assert Recipe(steps=1_000, warmup_steps=7).warmup_of("rte") == 7
    with pytest.raises(ValidationError, match="give one of"):
        Recipe(warmup_share=0.06, warmup_steps=7)


def test_cells_get_the_rate_of_their_method_and_task() -> None:
    """Through the whole grid: APET shares its kind's rate, soft prompts keep theirs on every task."""
    cells = grid(
        tasks=["mini-sentiment", "mini-inference"],
        recipe={
            "learning_rate": 0.1,
            "learning_rate_by_method": {"prompt": 0.2, "apet": 0.3},
            "learning_rate_by_task": {"mini-inference": 0.4},
        },
        experiments={"methods": {"methods": ["lora", "prompt"]}, "structure": {"groups": ["lora"]}},
    ).cells.values()
    found = {(p.cell.method, p.cell.task.removeprefix("mini-")): p.cell.learning_rate for p in cells}
    assert found == {
        ("lora", "sentiment"): 0.1,
        ("lora", "inference"): 0.4,
        ("full", "sentiment"): 0.1,
        ("full", "inference"): 0.4,
        ("prompt", "sentiment"): 0.2,
        ("prompt", "inference"): 0.2,
        ("apet-adjacent", "sentiment"): 0.3,
        ("apet-adjacent", "inference"): 0.3,
        ("apet-discrete", "sentiment"): 0.3,
        ("apet-discrete", "inference"): 0.3,
    }


def test_every_setting_reaches_the_cells() -> None:
    """Each value is another, so none can stand in another's place."""
    settings: dict[str, Any] = {
        "steps": 7,
        "evaluate_every": 3,
        "batch_size": 11,
        "schedule": "linear",
        "warmup_steps": 2,
        "weight_decay": 0.13,
        "clip_norm": 0.17,
        "dropout": 0.19,
        "precision": "bfloat16",
        "masters": "bfloat16",  # needs that precision
        "gradient_checkpointing": True,
    }
    for planned in grid(recipe=settings).cells.values():
        assert {key: getattr(planned.cell, key) for key in settings} == settings


def test_defaults_are_what_the_paper_states() -> None:
    """B.3: batch 32, 3e-4 without warm-up, soft prompts 3e-2, RTE 5e-5. The rest is the released code's."""
    recipe = Recipe()
    assert recipe.batch_size == 32
    assert recipe.warmup_steps == 0
    assert recipe.rate("lora", "lora", "sst2") == 3e-4
    assert recipe.rate("prompt", "prompt", "sst2") == 3e-2
    assert recipe.rate("prompt-50", "prompt", "sst2") == 3e-2
    assert recipe.rate("lora", "lora", "rte") == 5e-5
    assert recipe.rate("full", "full", "sst2") == 1e-4  # README of the released code
    assert (recipe.steps, recipe.evaluate_every, recipe.schedule) == (20_000, 1_000, "constant")
    assert (recipe.weight_decay, recipe.clip_norm, recipe.dropout) == (0.0, 1.0, 0.1)
    assert (recipe.precision, recipe.head, recipe.gradient_checkpointing) == ("float32", "trained", False)


@pytest.mark.parametrize(
    ("key", "refused", "taken"),
    [
        ("steps", 0, 1),
        ("evaluate_every", 0, 1),
        ("batch_size", 0, 1),
        ("learning_rate", 0.0, 1e-9),
        ("warmup_steps", -1, 0),
        ("weight_decay", -1e-9, 0.0),
        ("clip_norm", 0.0, 1e-9),
        ("dropout", 1.0, 0.99),
        ("dropout", -1e-9, 0.0),
    ],
)
def test_limits_of_the_settings(key: str, refused: float, taken: float) -> None:
    assert getattr(Recipe.model_validate({key: taken}), key) == taken
    with pytest.raises(ValidationError, match=key):
        Recipe.model_validate({key: refused})


def grid(**changes: Any) -> Grid:
    return open_grid(parse_study(changed(**changes), "study.yaml"))


def test_coarse_masters_are_asked_for_and_need_a_coarse_backbone() -> None:
    assert Recipe().masters == "float32"
    assert Recipe(precision="bfloat16", masters="bfloat16").masters == "bfloat16"
    with pytest.raises(ValidationError, match="bfloat16 needs precision: bfloat16"):
        Recipe(masters="bfloat16")
