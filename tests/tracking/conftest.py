"""A small study whose cells were "trained" by writing their files."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from petscale.artefacts.files import write_atomically
from petscale.artefacts.layout import Layout
from petscale.cells.record import CellResult, Convergence, Counts, Score, Throughput, write_result
from petscale.cells.spool import Spool
from petscale.cells.state import StateFolder
from petscale.study.grid import Grid
from petscale.tracking.store import Store
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import load_study

STUDY = """
name: small
description: two cells of each of two methods
ladders: [{name: mini-t5, backbones: [mini-t5-small]}]
tasks: [mini-sentiment]
data: {source: mini, dev_size: 20, max_test: 40}
seeds: [1, 2]
recipe: {steps: 20, evaluate_every: 10}
method_options: {lora: {rank: 2, alpha: 4}}
experiments: {methods: {methods: [full, lora]}}
"""


@pytest.fixture(scope="session")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "small.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="session")
def grid(study_file: Path) -> Grid:
    return open_grid(load_study(study_file))


@dataclass
class Results:
    """A folder of results that tests fill by hand."""

    root: str
    grid: Grid

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    @property
    def cells(self) -> list[str]:
        return list(self.grid.cells)

    def run(self, cell: str, phase: str = "done", *, steps: int = 20, loss: float = 1.0) -> None:
        """Leave what an attempt leaves that ends as `phase` (`running`: this process holds no lock, so killed)."""
        state, folder = Path(self.layout.state(cell)), Path(self.layout.result(cell)).parent
        told = StateFolder(state)
        log = told.begin()
        log.write_text(f"training {cell}\n")
        spool = Spool(state / "metrics.jsonl")
        for step in range(steps):
            spool.write(step, {"train/loss": loss / (step + 1), "train/learning_rate": 3e-4})
        spool.write(steps, {"dev/accuracy": 0.7, "odd/nan": float("nan"), "odd/inf": float("inf"), "odd/zero": -0.0})
        spool.close()
        system = Spool(state / "system.jsonl")
        system.write(1, {"system/resident_memory_megabytes": 412.5})
        system.close()
        if phase in ("done", "diverged"):
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("metrics.jsonl", "system.jsonl"):
                shutil.copyfile(state / name, folder / name)
            write_atomically(folder / "curve.csv", "step,dev\n20,0.7\n")
            write_atomically(folder / "delta.safetensors", b"delta" * 100)
            write_atomically(folder / "predictions.parquet", b"rows" * 50)
            write_result(folder / "result.json", self.record(cell, phase))
        if phase != "running":
            told.end(phase, None if phase == "done" else f"the cause of {phase}")  # type: ignore[arg-type]

    def record(self, cell: str, phase: str) -> CellResult:
        planned = self.grid.cells[cell]
        value = None if phase == "diverged" else 0.75
        return CellResult(
            cell=cell,
            digest=planned.cell.digest,
            status=phase,  # type: ignore[arg-type]
            cause="the training loss is nan at step 3" if phase == "diverged" else None,
            spec=planned.cell.spec(),
            counts=Counts(trainable=100, effective=90, head=0, stored=100, changed=90, total=10_000),
            metric="accuracy",
            dev={"accuracy": Score(value=value, se=0.01, n=20)},
            test={"accuracy": Score(value=value, se=0.01, n=40)},
            convergence=Convergence(best_step=10, best_dev=0.7, steps=20),
            throughput=Throughput(
                train_tokens_per_s=1.0,
                inference_tokens_per_s=2.0,
                startup_s=0.1,
                train_s=1.0,
                evaluate_s=0.2,
                wall_s=2.0,
            ),
            peak_memory=1 << 20,
            hashes={"data": "d" * 64, "code": "c" * 64},
            files={
                path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in Path(self.layout.result(cell)).parent.iterdir()
                if path.name != "result.json"
            },
            provenance={"host": "here"},
        )


@pytest.fixture
def results(tmp_path: Path, grid: Grid) -> Results:
    return Results(str(tmp_path / "results"), grid)


@pytest.fixture
def open_store(results: Results, empty_database: Path) -> Callable[[], Store]:
    """Opens the default store of `results`, already initialised."""
    database = Path(results.root, "tracking", "mlflow.db")
    database.parent.mkdir(parents=True)
    shutil.copyfile(empty_database, database)
    return lambda: Store(f"sqlite:///{database}", database.parent / "artifacts")


@pytest.fixture
def track(study_file: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `petscale track` as a user does."""

    def run(results: Results, *options: str, timeout: float = 120, **environment: str) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "petscale", "track", str(study_file), "--results", results.root, *options],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run
