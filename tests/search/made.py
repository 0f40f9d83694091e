"""A small search in a results folder, whose cells are trained by a formula."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import log10
from pathlib import Path

from petscale.artefacts.layout import Layout
from petscale.cells.record import CellResult, Convergence, Counts, Score, Throughput, write_result
from petscale.errors import Exit
from petscale.search.record import Probe, read_probe
from petscale.study.cell import Cell
from petscale.study.grid import Grid
from petscale.study.searches import Search
from petscale.training.probe import run_probe
from petscale.workspace.grid import open_grid
from petscale.workspace.searches import probes
from petscale.workspace.study_file import parse_study


def grid_of(**changes: object) -> Grid:
    study = {
        "name": "one",
        "ladders": [{"name": "T5", "backbones": ["mini-t5-small"]}],
        "tasks": ["mini-sentiment"],
        "seeds": [1, 2, 3],
        "experiments": {"threshold": {"methods": ["apet-discrete"], "search": {"cells": 7, **changes}}},
    }
    return open_grid(parse_study(study, "one.yaml"))


GRID = grid_of()
(SEARCH,) = GRID.searches.values()


def points(cell: Cell) -> float:
    """A cell's score: a rise from 50 to 80 points between 300 and 3,000 parameters, and the seed's own deviation."""
    if cell.method in ("full", "frozen"):
        return {"full": 80.0, "frozen": 50.0}[cell.method] + cell.seed - 2
    assert cell.budget is not None
    share = min(1.0, max(0.0, log10(cell.budget / 300)))
    return 50 + 30 * share + random.Random(cell.path).gauss(0, 1)


def result_of(cell: Cell, score: float | None) -> CellResult:
    tested = {"accuracy": 0.0, "rank_accuracy": score / 100} if score is not None else {}
    return CellResult(
        cell=cell.path,
        digest=cell.digest,
        status="diverged" if score is None else "done",
        spec=cell.spec(),
        counts=Counts(trainable=1, effective=1, head=0, stored=1, changed=1, total=1),
        metric="accuracy",
        dev={},
        test={name: Score(value=value, se=None, n=1) for name, value in tested.items()},
        convergence=Convergence(best_step=1, best_dev=0.5, steps=1),
        throughput=Throughput(
            train_tokens_per_s=1, inference_tokens_per_s=1, startup_s=1, train_s=1, evaluate_s=1, wall_s=1
        ),
        peak_memory=1,
        hashes={},
        provenance={},
    )


class Folder:
    """A results folder with references, in which cells are trained by a formula."""

    def __init__(self, root: Path, score: Callable[[Cell], float | None] = points) -> None:
        self.layout, self.score = Layout(str(root)), score
        self.trained: list[str] = []
        for path, planned in GRID.cells.items():
            write_result(Path(self.layout.result(path)), result_of(planned.cell, score(planned.cell)))

    def train(self, cell: Cell) -> Exit:
        path = Path(self.layout.result(cell.path))
        if not path.exists():
            self.trained.append(cell.path)
            write_result(path, result_of(cell, self.score(cell)))
        return Exit.DONE

    def run(self, search: Search = SEARCH, train: Callable[[Cell], Exit] | None = None) -> dict[str, Probe]:
        """Run all probes that have no record, in order; returns all records."""
        for number, seed in probes(search):
            if not Path(self.layout.probe(search.path, number, seed)).exists():
                assert run_probe(search, number, seed, self.layout, train or self.train) == Exit.DONE
        return self.records(search)

    def records(self, search: Search = SEARCH) -> dict[str, Probe]:
        paths = [self.layout.probe(search.path, *place) for place in probes(search)]
        return {Path(path).name: read_probe(Path(path)) for path in paths}
