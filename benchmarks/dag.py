"""Cost of the workflow itself for 100 to 10,000 cells: DAG, scheduling, a run with nothing to do, one cell again.

    python benchmarks/dag.py --cells 100 1000 5000 10000

Each row is a study of that many cells (five methods, two tasks, as many seeds as necessary) in its own folder. No cell
is trained: this script writes the outputs, and `snakemake --touch` schedules and records every job as a run does, but
starts no processes. Seconds are CPU seconds of Snakemake and its children, on which other work on the machine has
little influence; wall seconds are given in brackets. The slope is that of the least-squares line through the rows.
Growth is the cost of one more cell between the two largest sizes, divided by that between the two smallest: 1.0 means
that the cost of a cell does not grow with their number.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from petscale.workspace.dag import Dag

ROOT = Path(__file__).resolve().parent.parent
METHODS = ["full", "prompt", "bitfit", "lora", "adapter"]
TASKS = ["sst2", "rte"]


@dataclass(frozen=True)
class Spent:
    """CPU and wall seconds of one command."""

    cpu: float
    wall: float

    def __str__(self) -> str:
        return f"{self.cpu:7.1f} ({self.wall:6.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[100, 1_000, 5_000, 10_000], metavar="N")
    sizes: list[int] = parser.parse_args().cells
    columns = ["dry run", "schedule all", "nothing to do", "-n again", "one cell"]
    print("CPU seconds (wall seconds) of snakemake\n" + f"{'cells':>7}" + "".join(f"{name:>18}" for name in columns))
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="petscale-dag-") as folder:
            row = measure(size, Path(folder))
        rows.append(row)
        print(f"{size:>7}" + "".join(f"{spent!s:>18}" for spent in row), flush=True)
    if len(sizes) > 1:
        slopes = [np.polyfit(sizes, [row[i].cpu for row in rows], 1)[0] * 1e3 for i in range(len(columns))]
        print(f"{'s/1000':>7}" + "".join(f"{slope:>18.2f}" for slope in slopes))
    if len(sizes) > 2:
        print(f"{'growth':>7}" + "".join(f"{growth(sizes, [row[i].cpu for row in rows]):>18.2f}" for i in range(5)))


def growth(sizes: list[int], seconds: list[float]) -> float:
    """Cost of one more cell between the two largest sizes, divided by that between the two smallest."""
    steps = np.diff(seconds) / np.diff(sizes)
    return float(steps[-1] / steps[0]) if steps[0] > 0 else float("nan")


def measure(cells: int, folder: Path) -> list[Spent]:
    """Measure the five commands on a study of `cells` cells in `folder`, in the order of the table."""
    study = study_of(cells)
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    dag = Dag.from_config(study, "study.yaml", ROOT)
    if len(dag.results) != cells:
        sys.exit(f"benchmarks/dag.py: {cells} is no multiple of {len(METHODS) * len(TASKS)}")
    dry = snakemake(folder, "-n")
    make(folder, outputs(dag))
    schedule = snakemake(folder, "--cores", "1", "--touch")
    nothing = snakemake(folder, "--cores", "1")
    again = snakemake(folder, "-n")
    (folder / dag.results[0]).unlink()
    one = snakemake(folder, dag.results[0], "-n")
    return [dry, schedule, nothing, again, one]


def study_of(cells: int) -> dict[str, Any]:
    """A study of the paper's smallest T5 with as many seeds as necessary."""
    return {
        "name": "many",
        "ladders": [{"name": "t5", "backbones": ["google/t5-v1_1-small"]}],
        "tasks": TASKS,
        "seeds": list(range(1, cells // (len(METHODS) * len(TASKS)) + 1)),
        "experiments": {"methods": {"methods": METHODS}},
    }


def outputs(dag: Dag) -> Iterable[str]:
    """Every file that the study's rules make, in the order in which they are made."""
    layout = dag.layout
    yield from (f"results/data/{data}/data.json" for data in dag.data)
    yield from (layout.backbone(folder) for folder in dag.backbones)
    yield from dict.fromkeys(dag.cell_inputs(path)["tokens"] for path in dag.grid.cells)
    yield from [*dag.results, *dag.transfer_results]
    for parts in (("plan.json",), ("tables", "cells.csv"), ("report.html",), ("tracked.json",)):
        yield layout.study(dag.study.name, *parts)


def make(folder: Path, paths: Iterable[str]) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("{}")


def snakemake(folder: Path, *words: str) -> Spent:
    """Run Snakemake in `folder`; if it fails, the benchmark ends with its output."""
    command = [sys.executable, "-m", "snakemake", *words, "--snakefile", str(ROOT / "Snakefile"),
               "--directory", str(folder), "--configfile", str(folder / "study.yaml"), "--quiet", "rules"]  # fmt: skip
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"benchmarks/dag.py: snakemake {' '.join(words)}: {(done.stderr or done.stdout)[-2000:]}")
    return Spent(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


if __name__ == "__main__":
    main()
