"""Fixtures for breaking cells: real cells on tiny random backbones, in which each attempt is a forked process.

Importing torch takes seconds and an attempt takes one second, so attempts are forked from this process, as the warm
worker forks cells. Each attempt is a separate process, which a SIGKILL can end anywhere.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from petscale.artefacts.layout import Layout
from petscale.cli.main import run_forked
from petscale.training import run as _imported_before_the_forks  # noqa: F401
from petscale.workspace.dag import Dag
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import parse_study

METHODS = ("full", "lora", "apet-discrete")
STUDY = {
    "name": "faults",
    "ladders": [
        {"name": "mini-t5", "backbones": ["mini-t5-small"]},
        {"name": "mini-bert", "backbones": ["mini-bert-small"]},
    ],
    "tasks": ["mini-sentiment"],
    "data": {"source": "mini", "dev_size": 24, "max_train": 160, "max_test": 24},
    "seeds": [1],
    "recipe": {
        "steps": 24,
        "evaluate_every": 8,
        "batch_size": 8,
        "dropout": 0.1,
        "learning_rate": 0.01,
        "learning_rate_by_method": {},
    },
    "method_options": {"lora": {"rank": 2, "alpha": 4}, "prompt": {"tokens": 8}},
    "experiments": {
        "control": {"methods": ["full", "lora"]},
        "convergence": {"match": ["lora"], "structures": ["apet-discrete"]},
    },
}
# What an interruption may change: when and where a cell ran, and what it took.
VARYING = ("provenance", "throughput", "peak_memory", "energy_j", "files", "seal")


@dataclass
class Bench:
    """Inputs made once, and cells to train into a folder of results of their own."""

    dag: Dag
    inputs: Path

    def cell(self, family: str, method: str) -> str:
        """A cell of the study on the random backbone of a family."""
        return next(
            path
            for path, planned in self.dag.grid.cells.items()
            if planned.backbone.shape.family == family and planned.cell.method == method
        )

    def arguments(self, cell: str, results: Path, *options: str, inputs: Path | None = None) -> list[str]:
        """The command line of `petscale train` for a cell."""
        found = self.dag.cell_inputs(cell)
        where = inputs or self.inputs
        return [
            "train",
            cell,
            *("--spec", self.dag.cell_spec(cell)),
            *("--tokens", str(where / found["tokens"]), "--backbone", str(where / found["backbone"])),
            *("--results", str(results), "--checkpoint-steps", "3", *options),
        ]

    def start(self, arguments: list[str], results: Path, harm: Callable[[], None] | None = None) -> int:
        """Fork an attempt; returns its process id. `harm` runs in the child first, to patch or limit it.

        What the attempt says goes to `output.log` in `results`.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            os.setsid()
            results.mkdir(parents=True, exist_ok=True)
            with open(results / "output.log", "ab") as out:
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
            # pytest put objects of its own in the place of the streams.
            sys.stdout, sys.stderr = (os.fdopen(number, "w", 1, closefd=False) for number in (1, 2))
            if harm is not None:
                harm()
            code = run_forked(arguments, time.time())
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def finish(self, child: int, *, kill_after: float | None = None, signum: int = signal.SIGKILL) -> int:
        """Wait for an attempt, signalling it after a while; its exit code, negative for a signal."""
        until = None if kill_after is None else time.monotonic() + kill_after
        while until is not None and time.monotonic() < until:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        if until is not None:
            os.kill(child, signum)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def train(self, cell: str, results: Path, *options: str, harm: Callable[[], None] | None = None) -> int:
        """One whole attempt."""
        return self.finish(self.start(self.arguments(cell, results, *options), results, harm))


def _preparations(dag: Dag) -> list[list[str]]:
    """The commands that make the inputs of every cell, each once."""
    layout, commands = dag.layout, {}
    for folder in dag.backbones:
        out = layout.backbone(folder)
        commands[out] = ["backbone", "--spec", dag.backbone_spec(folder), "--out", out]
    for data in dag.data:
        commands[layout.data(data)] = ["prepare", "--spec", dag.data_spec(data), "--out", layout.data(data)]
    for path, planned in dag.grid.cells.items():
        found, cell = dag.cell_inputs(path), planned.cell
        rows = ["--data", layout.data(cell.data.path), "--backbone", found["backbone"]]
        commands[found["tokens"]] = ["tokenize", *rows, "--labels", cell.labels, "--out", found["tokens"]]
    return list(commands.values())


def numbers(results: Path, cell: str) -> dict[str, Any]:
    """All numbers that a cell left, with times and places masked (the promise of docs/reliability.md)."""
    folder = Path(Layout(str(results)).result(cell)).parent
    record = json.loads((folder / "result.json").read_text())
    record["hashes"].pop("code")  # of the files on disk, which someone may be editing meanwhile
    with open(folder / "curve.csv", newline="") as handle:
        curve = [{**row, "seconds": None} for row in csv.DictReader(handle)]
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "record": {key: value for key, value in record.items() if key not in VARYING},
        "curve": curve,
        "metrics": [(m["step"], m["key"], m["value"]) for m in metrics],
        "delta": (folder / "delta.safetensors").read_bytes(),
        "predictions": (folder / "predictions.parquet").read_bytes(),
    }


def no_half_files(results: Path, cell: str) -> None:
    """A result that stands is whole, and so is everything that it names."""
    if Path(Layout(str(results)).result(cell)).exists():
        numbers(results, cell)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The study's inputs, made by the commands that the rules call."""
    folder = tmp_path_factory.mktemp("faults")
    grid = open_grid(parse_study(STUDY, "faults"))
    # Random backbones only: what is tested needs nothing of what pre-training stores, and they cost nothing.
    random = {b.control_of: b for b in grid.backbones.values() if b.control_of}
    moved = [
        replace(planned, cell=replace(planned.cell, backbone=twin.name, weights=twin.weights), backbone=twin)
        for planned in grid.cells.values()
        if (twin := random.get(planned.cell.backbone)) is not None
    ]
    grid.cells = {planned.cell.path: planned for planned in moved}
    grid.backbones = {backbone.name: backbone for backbone in random.values()}
    made = Bench(Dag(grid, Layout(), "environment"), folder)
    for command in _preparations(made.dag):
        code = made.finish(made.start(command, folder, harm=lambda: os.chdir(folder)))
        assert code == 0, (folder / "output.log").read_text()
    return made
