"""The report names the options with which methods ran, also where only one ladder has them."""

from __future__ import annotations

from typing import Any

from petscale.report.options import options_in_use
from petscale.workspace.grid import open_grid
from petscale.workspace.plan import plan_document
from petscale.workspace.study_file import parse_study

STUDY: dict[str, Any] = {
    "name": "options",
    "ladders": [
        {"name": "v1.0", "backbones": ["t5-large"]},
        {"name": "v1.1", "backbones": ["google/t5-v1_1-small"]},
    ],
    "tasks": ["sst2"],
    "recipe": {"precision": "bfloat16"},
    "recipe_by_ladder": {"v1.0": {"masters": "bfloat16"}},
    "method_options": {"ia3": {"learns": "factor"}, "prefix-flat": {"tokens": 5, "positions": "shifted"}},
    "experiments": {"methods": {"methods": ["full", "ia3", "prefix-flat"]}},
}


def in_use(**changes: Any) -> list[tuple[str, str]]:
    return options_in_use(plan_document(open_grid(parse_study({**STUDY, **changes}, "options"))))


def test_options_are_named_by_method_and_by_ladder_where_they_differ() -> None:
    assert in_use() == [
        ("full on v1.0", "masters: bfloat16"),
        ("ia3 on v1.0", "learns: factor; masters: bfloat16"),
        ("ia3 on v1.1", "learns: factor"),
        ("prefix-flat on v1.0", "masters: bfloat16; positions: shifted; tokens: 5"),
        ("prefix-flat on v1.1", "positions: shifted; tokens: 5"),
    ]
    assert in_use(recipe_by_ladder={}) == [("ia3", "learns: factor"), ("prefix-flat", "positions: shifted; tokens: 5")]


def test_defaults_and_plans_of_before_name_none() -> None:
    assert in_use(recipe_by_ladder={}, method_options={}) == []
    assert options_in_use({"cells": [{"method": "lora", "ladder": "v1.0"}]}) == []
