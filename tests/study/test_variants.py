"""Variants: one method stands several times in a study, each time with a name, and mistakes are refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from petscale.errors import BadInput
from petscale.report.options import options_in_use
from petscale.study.grid import TRIES, Grid
from petscale.tracking.trace import planned_tags
from petscale.tuning.registry import matched_budget
from petscale.workspace.grid import open_grid
from petscale.workspace.plan import plan_document
from petscale.workspace.study_file import parse_study

PREFIX = {"tokens": 4, "middle": 8}
SHIFTED = {"method": "prefix", "options": {"positions": "shifted"}}
COARSE = {"masters": "bfloat16", "precision": "bfloat16"}
VARIANTS: dict[str, Any] = {
    "prefix-shifted": SHIFTED,
    "ia3-coarse": {"method": "ia3", "options": {"learns": "factor"}, "recipe": COARSE},
}
STUDY: dict[str, Any] = {
    "name": "one",
    "ladders": [{"name": "T5", "backbones": ["mini-t5-small"]}],
    "tasks": ["mini-sentiment"],
    "seeds": [1, 2],
    "recipe": {"learning_rate": 0.01, "learning_rate_by_method": {}},
    "method_options": {"prefix": PREFIX},
}
ALL = ["full", "prefix", "ia3", *VARIANTS]


def grid_of(experiments: dict[str, Any], **changes: Any) -> Grid:
    return open_grid(parse_study({**STUDY, "variants": VARIANTS, **changes, "experiments": experiments}, "one.yaml"))


def test_a_variant_has_its_options_beside_those_of_its_method_and_its_own_recipe() -> None:
    cells = {(p.name, p.cell.seed): p.cell for p in grid_of({"methods": {"methods": ALL}}).cells.values()}
    assert set(cells) == {(name, seed) for name in ALL for seed in (1, 2)}
    plain, shifted = cells["prefix", 1].spec(), cells["prefix-shifted", 1].spec()
    assert plain["options"] == PREFIX
    assert {key for key in plain if plain[key] != shifted[key]} == {"options"}
    assert shifted["options"] == {**PREFIX, "positions": "shifted"}
    fine, coarse = cells["ia3", 1].spec(), cells["ia3-coarse", 1].spec()
    assert {key for key in coarse if fine.get(key) != coarse[key]} == {"options", "precision", "masters"}
    assert (coarse["method"], coarse["precision"], coarse["masters"]) == ("ia3", "bfloat16", "bfloat16")


def test_a_variant_shares_its_cells_with_a_study_that_gives_the_method_the_same_options() -> None:
    ours = grid_of({"methods": {"methods": ["prefix-shifted"]}})
    theirs = grid_of(
        {"methods": {"methods": ["prefix"]}},
        method_options={"prefix": {**PREFIX, "positions": "shifted"}},
        variants={},
    )
    assert list(ours.cells) == list(theirs.cells)


def test_a_variant_has_a_rate_of_its_own_only_where_its_name_has_one() -> None:
    rates = {"prefix": 0.02, "prefix-shifted": 0.03, "ia3": 0.04}
    grid = grid_of({"methods": {"methods": ALL}}, recipe={"learning_rate": 0.01, "learning_rate_by_method": rates})
    found = {p.name: p.cell.learning_rate for p in grid.cells.values()}
    assert found == {"full": 0.01, **rates, "ia3-coarse": 0.04}


def test_a_variant_defines_a_group_and_names_its_budget() -> None:
    short = {"prefix-short": {"method": "prefix-flat", "options": {"tokens": 2}}}
    grid = grid_of({"structure": {"groups": ["prefix-short"], "structures": ["apet-discrete"]}}, variants=short)
    shape = grid.backbones["mini-t5-small"].shape
    matched = [p for p in grid.cells.values() if p.cell.method == "apet-discrete"]
    assert {p.cell.budget for p in matched} == {matched_budget(shape, "prefix-flat", options={"tokens": 2})}
    assert {p.matches for p in matched} == {("prefix-short",)}
    own = [p for p in grid.cells.values() if p.cell.method == "prefix-flat"]
    assert {(p.name, p.matches) for p in own} == {("prefix-short", ("prefix-short",))}


def test_a_variant_of_a_method_with_a_budget_is_swept_and_searched_by_its_name() -> None:
    wide = {"rows-only": {"method": "apet-discrete", "options": {}, "recipe": {"weight_decay": 0.1}}}
    swept = {"methods": ["apet-discrete", "rows-only"], "budgets": [8, 64]}
    cells = [p for p in grid_of({"threshold": swept}, variants=wide).cells.values() if p.cell.budget]
    assert {(p.name, p.cell.weight_decay) for p in cells} == {("apet-discrete", 0.0), ("rows-only", 0.1)}
    searched = {"methods": ["apet-discrete", "rows-only"], "search": {"cells": 4}}
    grid = grid_of({"threshold": searched}, variants=wide)
    assert {grid.dearest(path).name for path in grid.searches} == {"apet-discrete", "rows-only"}


def test_the_plan_calls_cells_rate_searches_and_measurements_by_the_name_of_the_variant() -> None:
    asked = {"methods": {"methods": ALL, "rates": [1e-3, 1e-2]}, "efficiency": {"methods": ALL}}
    grid = grid_of(asked)
    plan = plan_document(grid)
    assert all(p.experiments == (TRIES,) for p in grid.cells.values())
    for key in ("cells", "rate_searches", "measurements"):
        assert {row["method"] for row in plan[key]} == set(ALL), key
    of = {cell["method"]: cell["variant_of"] for cell in plan["cells"]}
    assert of == {"full": None, "prefix": None, "ia3": None, "prefix-shifted": "prefix", "ia3-coarse": "ia3"}


def test_the_report_says_what_a_variant_is() -> None:
    said = dict(options_in_use(plan_document(grid_of({"methods": {"methods": ALL}}))))
    assert said == {
        "prefix": "middle: 8; tokens: 4",
        "prefix-shifted": "variant of prefix; middle: 8; positions: shifted; tokens: 4",
        "ia3-coarse": "variant of ia3; learns: factor; masters: bfloat16; precision: bfloat16",
    }


def test_a_tag_of_the_study_tells_the_name_to_who_looks_at_the_cell() -> None:
    tags = {p.name: planned_tags(p, "one") for p in grid_of({"methods": {"methods": ALL}}).cells.values()}
    assert tags["prefix-shifted"] == {"study.one": "1", "experiment.one.methods": "1", "variant.one": "prefix-shifted"}
    assert tags["prefix"] == {"study.one": "1", "experiment.one.methods": "1"}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "the name of a method": ({"lora": SHIFTED}, "key variants.lora: a method has this name; choose another"),
    "no such method": (
        {"x": {"method": "prefx"}},
        "key variants.x.method: unknown method 'prefx'; did you mean 'prefix'?",
    ),
    "a wrong option": (
        {"x": {"method": "prefix", "options": {"tokens": 0}}},
        "key variants.x.options.tokens: prefix: option tokens: expected a positive whole number, found 0",
    ),
    "an unknown key": ({"x": {"method": "prefix", "option": {}}}, "key variants.x.option: no such key"),
    "an unknown recipe key": (
        {"x": {"method": "prefix", "recipe": {"stepps": 3}}},
        "variants.x.recipe.stepps: no such key; did you mean 'steps'?",
    ),
    "masters that do not fit": (
        {"x": {"method": "prefix", "recipe": {"masters": "bfloat16"}}},
        "variants.x.recipe.masters: Value error, bfloat16 needs precision: bfloat16",
    ),
    "a rate in its recipe": (
        {"x": {"method": "prefix", "recipe": {"learning_rate": 0.1}}},
        "learning_rate: the rate of a variant is recipe.learning_rate_by_method of its name",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_variant_is_one_clear_line(case: str) -> None:
    variants, said = WRONG[case]
    with pytest.raises(BadInput) as caught:
        grid_of({"methods": {"methods": ["full", "prefix"]}}, variants=variants)
    text = str(caught.value)
    assert said in text
    assert text.startswith("one.yaml: ")
    assert "\n" not in text


def test_a_name_that_no_variant_has_is_refused_with_the_closest() -> None:
    with pytest.raises(BadInput, match="unknown method 'prefix-shifter'; did you mean 'prefix-shifted'"):
        grid_of({"methods": {"methods": ["full", "prefix-shifter"]}})


@pytest.mark.parametrize(
    "experiments",
    [
        {"methods": {"methods": ["full", "prefix", "again"]}},
        {"methods": {"methods": ["full", "again", "prefix"]}},
        {"methods": {"methods": ["full", "prefix", "again"], "rates": [1e-3, 1e-2]}},
        {"efficiency": {"methods": ["prefix", "again"]}},
    ],
)
def test_two_names_for_one_training_are_refused(experiments: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"key variants\.again: trains the same as prefix on mini-t5-small; keep one"):
        grid_of(experiments, variants={"again": {"method": "prefix"}})
