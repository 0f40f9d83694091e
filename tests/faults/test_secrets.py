"""What must never happen: secrets in results, pickles read, a tracking UI open to the network."""

from __future__ import annotations

import os
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

from petscale.errors import Exit

from .conftest import Bench

SECRETS = {
    "HF_TOKEN": "hf_secret0123456789abcdef",
    "MLFLOW_TRACKING_PASSWORD": "hunter2-tracking",
    "MLFLOW_TRACKING_TOKEN": "bearer-0123456789",
    "AWS_SECRET_ACCESS_KEY": "aws+secret/key=",
    "SLURM_JWT": "eyJhbGciOi.secret",
    "WANDB_API_KEY": "w4ndb0123456789",
}


def test_no_secret_reaches_results(bench: Bench, tmp_path: Path, tally: Any) -> None:
    """After success and after a crash alike: record, logs, status, lock, spools, checkpoints."""
    count = tally("secret in the environment")

    def crash() -> None:
        os.environ.update(SECRETS)
        from petscale.training import loop

        def broken(*arguments: Any) -> Any:
            raise RuntimeError("a bug")

        loop.collate = broken

    cell = bench.cell("t5", "lora")
    assert bench.train(cell, tmp_path, harm=crash) == Exit.BUG
    assert bench.train(cell, tmp_path, harm=lambda: os.environ.update(SECRETS)) == Exit.DONE
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 8
    leaks = [
        f"{name} in {path}" for path in files for name, value in SECRETS.items() if value.encode() in path.read_bytes()
    ]
    count.add(not leaks)
    assert leaks == []


def test_a_pickle_is_refused_and_never_run(bench: Bench, tmp_path: Path, tally: Any) -> None:
    """Tries: a pickle in the place of each file that a cell loads, and beside the weights."""
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(trap),))

    cell = bench.cell("t5", "lora")
    found = bench.dag.cell_inputs(cell)
    count = tally("pickle in the place of an input")
    for kind in ("tokens", "backbone"):
        for file in sorted((bench.inputs / found[kind]).parent.iterdir()):
            inputs, results = tmp_path / "inputs", tmp_path / "results"
            for each in ("tokens", "backbone"):
                shutil.copytree((bench.inputs / found[each]).parent, inputs / Path(found[each]).parent)
            (inputs / Path(found[kind]).parent / file.name).write_bytes(pickle.dumps(Trap()))
            code = bench.finish(bench.start(bench.arguments(cell, results, inputs=inputs), results))
            fine = code in (Exit.BAD_INPUT, Exit.DONE) and not trap.exists()
            count.add(fine)
            assert fine, (file.name, code, (results / "output.log").read_text()[-2000:])
            shutil.rmtree(inputs)
            shutil.rmtree(results)
    pickle.loads(pickle.dumps(Trap()))
    assert trap.exists()  # the trap works


def test_nothing_in_the_package_loads_pickles(root: Path) -> None:
    """Greps: no pickle module, no torch.load but the one conversion (`weights_only`), no numpy pickles."""
    forbidden = re.compile(
        r"\b(import (c?pickle|dill|joblib|shelve|marshal)|from (c?pickle|dill|joblib|shelve) import"
        r"|pickle\.loads?|torch\.load|read_pickle|allow_pickle=True|trust_remote_code=True|yaml\.unsafe_load)"
    )
    hits = []
    for path in sorted((root / "src").rglob("*.py")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if forbidden.search(line) and not ("torch.load" in line and "weights_only=True" in line):
                hits.append(f"{path.relative_to(root)}:{number}: {line.strip()}")
    assert hits == []


def test_the_tracking_ui_is_bound_to_loopback(root: Path) -> None:
    """Every `mlflow ui` or `mlflow server` that the project documents or runs names the loopback address."""
    texts = [root / "Makefile", root / "README.md", *(root / "docs").glob("*.md"), *(root / "workflow").rglob("*.smk")]
    commands = [
        line.strip()
        for path in texts
        if path.exists()
        for line in path.read_text().splitlines()
        if re.search(r"\bmlflow (ui|server)\b.*--", line)
    ]
    assert commands
    assert [line for line in commands if "--host 127.0.0.1" not in line] == []
