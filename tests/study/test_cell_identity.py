"""Cells of before stay the cells that they are: digests that older versions gave are those of today.

A study finds its finished cells by these digests; a field that moves them would train everything again.
"""

from __future__ import annotations

from typing import Any

import pytest

from petscale.errors import BadInput
from petscale.study.cell import Cell

DATA = {
    "dev_size": 60,
    "few_shot": None,
    "max_test": 300,
    "max_train": None,
    "rows": "mini",
    "source": "mini",
    "split_seed": 0,
    "task": "mini-qa",
    "version": 2,
}
LORA = {
    "backbone": "mini-t5-base",
    "batch_size": 32,
    "budget": None,
    "clip_norm": 1.0,
    "data": DATA,
    "dropout": 0.0,
    "evaluate_every": 10,
    "gradient_checkpointing": False,
    "head": None,
    "labels": "words",
    "learning_rate": 0.01,
    "mask_seed": None,
    "method": "lora",
    "options": {"alpha": 4, "rank": 2},
    "precision": "float32",
    "schedule": "constant",
    "seed": 1,
    "steps": 100,
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "weights": "mini-v2",
}
APET = {
    **LORA,
    "data": {**DATA, "dev_size": 200, "task": "mini-inference"},
    "budget": 1536,
    "labels": "unified",
    "learning_rate": 0.02,
    "mask_seed": 1,
    "method": "apet-discrete",
    "options": {},
}
FULL = {**LORA, "backbone": "mini-t5-base-random", "method": "full", "options": {}, "learning_rate": 0.0006}
FLAWED = {
    **LORA,
    "data": {**DATA, "source": "local", "rows": "reviews-3f2a", "flaws": "drop", "few_shot": 16},
    "head": "trained",
    "precision": "bfloat16",
}

# Paths of the first three are folders of a demo at commit 166f865, the last was computed with its code.
BEFORE: list[tuple[dict[str, Any], str]] = [
    (LORA, "mini-t5-base/mini-qa/lora/seed1-924b016df0ea"),
    (APET, "mini-t5-base/mini-inference/apet-discrete-1536/seed1-7e3a1afc1702"),
    (FULL, "mini-t5-base-random/mini-qa/full/seed1-a4ccf8962be3"),
    (FLAWED, "mini-t5-base/mini-qa/lora/seed1-ebaf779b39f9"),
]


@pytest.mark.parametrize(("spec", "path"), BEFORE)
def test_a_specification_of_before_has_its_path(spec: dict[str, Any], path: str) -> None:
    cell = Cell.from_spec(spec)
    assert cell.path == path
    assert cell.spec() == spec


def test_masters_are_part_of_a_cell_only_where_they_are_not_float32() -> None:
    assert Cell.from_spec({**LORA, "masters": "float32"}) == Cell.from_spec(LORA)
    coarse = Cell.from_spec({**LORA, "masters": "bfloat16"})
    assert coarse.spec() == {**LORA, "masters": "bfloat16"}
    assert coarse.digest != Cell.from_spec(LORA).digest


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"stepps": 3}, "cell: field stepps is unknown"),
        ({"data": {**DATA, "split": 3}}, "cell: data: field split is unknown"),
        ({"data": 3}, "cell: data: expected a mapping"),
    ],
)
def test_a_field_that_no_cell_has_is_one_line(change: dict[str, Any], line: str) -> None:
    with pytest.raises(BadInput, match=line):
        Cell.from_spec({**LORA, **change})


def test_a_missing_field_is_one_line() -> None:
    with pytest.raises(BadInput, match="cell: field steps is missing"):
        Cell.from_spec({key: value for key, value in LORA.items() if key != "steps"})
