"""Searches in a study file: their cells, their identity, their cost, and mistakes that are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from petscale.errors import BadInput
from petscale.study.counting import plan_of
from petscale.study.grid import Grid
from petscale.study.searches import Search
from petscale.tuning.registry import budget_range, make_plan
from petscale.workspace.grid import open_grid
from petscale.workspace.plan import plan_document
from petscale.workspace.study_file import parse_study

STUDY: dict[str, Any] = {
    "name": "one",
    "ladders": [{"name": "T5", "backbones": ["mini-t5-small", "mini-t5-base"]}],
    "tasks": ["mini-sentiment", "mini-qa"],
    "seeds": [1, 2, 3],
}


def grid_of(threshold: dict[str, Any], **changes: Any) -> Grid:
    return open_grid(parse_study({**STUDY, **changes, "experiments": {"threshold": threshold}}, "one.yaml"))


def test_each_backbone_task_and_method_has_a_search_with_its_references() -> None:
    grid = grid_of({"search": {}})
    assert len(grid.searches) == 2 * 2 * 2
    assert len(grid.cells) == 2 * 2 * 2 * 3  # full and frozen, with three seeds
    for path, search in grid.searches.items():
        assert path == search.path
        assert {*search.frozen, *search.full} <= set(grid.cells)
        assert {grid.cells[cell].cell.method for cell in search.full} == {"full"}
        assert (search.rounds, search.cells, search.factor) == (4, 12, 1.5)


def test_the_range_is_what_the_method_can_hold() -> None:
    grid = grid_of({"search": {}})
    for search in grid.searches.values():
        shape = grid.backbones[search.dearest.backbone].shape
        assert plan_of(search.dearest, shape).trainable == search.largest
        with pytest.raises(BadInput, match="does not fit"):
            plan_of(search.cell(1, search.largest + 1), shape)
    assert {search.smallest for search in grid.searches.values()} == {1}


def test_the_range_may_end_earlier() -> None:
    assert {search.largest for search in grid_of({"search": {"largest": 500}}).searches.values()} == {500}
    whole = {search.largest for search in grid_of({"search": {}}).searches.values()}
    assert {search.largest for search in grid_of({"search": {"largest": 10**12}}).searches.values()} == whole


def test_the_plan_says_where_the_largest_budget_fits_no_device() -> None:
    small = {"gpus": False, "memory_gb": 1.5011}
    fits = [entry["fits"] for entry in plan_document(grid_of({"search": {}}, hardware=small))["searches"]]
    assert fits == [False] * len(fits)
    less = plan_document(grid_of({"search": {"largest": 64}}, hardware={"gpus": False, "memory_gb": 4}))["searches"]
    assert all(entry["fits"] for entry in less)


def test_inserted_pairs_begin_with_two_entries() -> None:
    shape = grid_of({"search": {}}).backbones["mini-t5-small"].shape
    smallest, largest = budget_range(shape, "apet-discrete", options={"operations": ["plug"]})
    assert smallest == 2
    assert make_plan(shape, "apet-discrete", budget=largest, options={"operations": ["plug"]}).trainable == largest


def test_a_search_survives_its_way_through_a_command_line() -> None:
    for search in grid_of({"search": {}}).searches.values():
        again = Search.from_spec(json.loads(json.dumps(search.spec())))
        assert again == search
        assert again.path == search.path


def test_each_budget_of_a_search_has_the_rate_that_the_recipe_gives_it() -> None:
    recipe = {"learning_rate_by_budget": {100: 1e-2, 10_000: 1e-4}}
    for search in grid_of({"search": {}}, recipe=recipe).searches.values():
        again = Search.from_spec(json.loads(json.dumps(search.spec())))
        assert again == search
        assert [again.cell(1, budget).learning_rate for budget in (10, 1_000, 10_000)] == [1e-2, 1e-3, 1e-4]
    swept = grid_of({"budgets": [10, 1_000]}, recipe=recipe)
    assert {(c.cell.budget, c.cell.learning_rate) for c in swept.cells.values() if c.cell.budget} == {
        (10, 1e-2),
        (1_000, 1e-3),
    }


def test_budgets_have_the_rates_of_the_recipe_or_of_the_experiment_but_not_both() -> None:
    with pytest.raises(BadInput, match=r"experiments\.threshold\.learning_rates: recipe\.learning_rate_by_budget"):
        grid_of({"learning_rates": [0.1]}, recipe={"learning_rate_by_budget": {100: 1e-2}})


def test_cells_of_a_search_are_those_of_a_sweep_with_the_same_budgets() -> None:
    """Same paths, so a sweep and a search share cells, and so do two studies."""
    swept = grid_of({"budgets": [64, 256]})
    search = next(iter(grid_of({"search": {}}).searches.values()))
    assert search.cell(2, 64).path in swept.cells
    fixed = grid_of({"budgets": [64, 256]}, mask_seed=7)
    masked = next(iter(grid_of({"search": {}}, mask_seed=7).searches.values()))
    assert masked.cell(3, 256).path in fixed.cells


def test_settings_and_seeds_make_another_search() -> None:
    first = set(grid_of({"search": {}}).searches)
    for changed in ({"search": {"cells": 18}}, {"search": {"factor": 2.0}}, {"search": {}, "seeds": [1, 2]}):
        assert first.isdisjoint(grid_of(changed).searches)
    assert first == set(grid_of({"search": {}}, description="other words").searches)


def test_the_plan_has_expected_and_largest_cost() -> None:
    grid = grid_of({"search": {"factor": 4.0, "cells": 30}})
    for entry in plan_document(grid)["searches"]:
        assert entry["most_cells"] == 30
        # Three cells a round divide the range of each threshold by 2.5, until it is a factor of 4.
        assert entry["largest"] / entry["smallest"] <= 4.0 ** (2.5 ** (entry["expected_cells"] / 3))
        assert entry["expected_cells"] < 30
        assert 0 < entry["expected_hours"] < entry["most_hours"]
        assert entry["found"] == []


@pytest.mark.parametrize(
    "threshold, message",
    [
        ({"search": {}, "budgets": [64, 256]}, "experiments.threshold: budgets: a search decides them"),
        ({"search": {}, "learning_rates": [0.1]}, "experiments.threshold: learning_rates: a search trains"),
        ({"search": {"factor": 1.0}}, "experiments.threshold.search.factor"),
        ({"search": {"cell": 3}}, "did you mean 'cells'"),
        ({"search": {"largest": 1}}, "experiments.threshold.search.largest"),
        ({"search": {"reading": "exact"}}, "experiments.threshold.search.reading"),
    ],
)
def test_mistakes_are_one_line(threshold: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        grid_of(threshold)


def test_a_parsed_study_can_be_parsed_again() -> None:
    """Rules pass the study as JSON with every key, so what the file left out must not become a contradiction."""
    for threshold in ({"search": {}}, {}, {"budgets": [64, 256]}):
        study = parse_study({**STUDY, "experiments": {"threshold": threshold}}, "one.yaml")
        assert parse_study(study.model_dump(mode="json"), "again") == study
