"""A tiny real cell: the smallest rungs, a few rows, a few steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from petscale import tasks
from petscale.data.prepare import prepare
from petscale.data.sources import make_source
from petscale.data.tokenize import tokenize
from petscale.families.registry import FAMILIES
from petscale.fetching.materialise import materialise
from petscale.study.cell import Cell
from petscale.training.run import Job
from petscale.training.setup import Inputs
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import parse_study

# Random weights: built in a moment, and as good as any for what these tests guard.
BACKBONES = {"t5": "mini-t5-small-random", "bert": "mini-bert-small-random"}


def make_cell(family: str, method: str, **changes: Any) -> Cell:
    """A cell of the tiny study; `changes` replace fields of it."""
    document = {
        "name": "tiny",
        "ladders": [{"name": "one", "backbones": [BACKBONES[family]]}],
        "tasks": ["mini-sentiment"],
        "data": {"source": "mini", "dev_size": 20, "max_train": 96, "max_test": 20},
        "seeds": [1],
        "recipe": {"steps": 6, "evaluate_every": 3, "batch_size": 16, "learning_rate": 1e-3, "dropout": 0.1},
        "experiments": {"structure": {"groups": ["lora"]}, "methods": {"methods": ["full", "lora", "frozen"]}},
    }
    grid = open_grid(parse_study(document, "tiny"))
    found = [planned.cell for planned in grid.cells.values() if planned.cell.method == method]
    return replace(found[0], **changes)


class Bench:
    """Inputs of tiny cells, made once, and jobs in folders of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inputs: dict[str, Inputs] = {}
        task = tasks.lookup("mini-sentiment")
        rows = folder / "rows"
        prepare(task, make_source(task, "mini"), rows, dev_size=20, max_train=96, max_test=20)
        for family, name in BACKBONES.items():
            backbone, tokens = folder / name, folder / f"tokens-{family}"
            materialise(name, backbone, folder=None, revision="mini-v2")
            tokenize(rows, task, backbone, FAMILIES[family], tokens, labels="words")
            self.inputs[family] = Inputs(tokens=tokens, backbone=backbone)

    def job(self, family: str, name: str, **changes: Any) -> Job:
        return Job(self.inputs[family], self.folder / name / "cell", self.folder / name / "state", **changes)
