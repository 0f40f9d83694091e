"""CPU time of whole cells by two checkouts of the project, side by side in one run.

Each checkout prepares its own inputs below `--work`. Then its process imports torch once, as the warm worker does, and
forks a child for each cell, which loads, trains, evaluates and publishes it. The two checkouts take turns, so that a
busy machine slows both; the time is the CPU time of the child, and the printed ratio is the median over rounds.

    git worktree add /tmp/before <commit>
    python benchmarks/cells.py --before /tmp/before --rounds 3

Cells are those of a study file that both checkouts have, chosen by parts of their names (`--only`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
# Runs in a process of each checkout: a line with the words of a command in, a line with its code and CPU seconds out.
SERVE = """
import json, os, sys, time
import torch, petscale.training.run, transformers.models.t5.modeling_t5, transformers.models.bert.modeling_bert
from petscale.cli.main import run_forked
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1), os.dup2(quiet, 2)
        os._exit(run_forked(json.loads(line), time.time()))
    _, status, used = os.wait4(child, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime]), flush=True)
"""


class Checkout:
    """One checkout with a folder of results, and the process that runs its cells."""

    def __init__(self, root: Path, folder: Path, study: Path) -> None:
        self.root, self.folder = root, folder
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(study, folder / "study.yaml")
        self.environment = {**os.environ, "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}

    def prepare(self, files: list[str]) -> None:
        """Make inputs of cells by the checkout's own workflow."""
        subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "all", "--configfile", "study.yaml",
             "--snakefile", self.root / "Snakefile", "--directory", self.folder, "--", *files],
            cwd=self.folder, env=self.environment, check=True,
        )  # fmt: skip

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.root}: its process ended with code {self.process.wait()}")
        return line

    def seconds(self, cell: str, words: list[str]) -> float:
        """CPU seconds of a cell that is trained anew."""
        for part in ("cells", "state"):
            shutil.rmtree(self.folder / "results" / part / cell, ignore_errors=True)
        assert self.process.stdin is not None
        print(json.dumps(["train", cell, *words]), file=self.process.stdin, flush=True)
        code, seconds = json.loads(self._answer())
        if code:
            sys.exit(f"{self.root}: {cell} ended with code {code}: {self.folder / 'results' / 'state' / cell}")
        return float(seconds)

    def score(self, cell: str) -> float:
        document = json.loads((self.folder / "results" / "cells" / cell / "result.json").read_text())
        return 100 * float(document["test"][document["metric"]]["value"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="the other checkout")
    parser.add_argument("--study", type=Path, default=HERE / "studies" / "mini.yaml")
    parser.add_argument(
        "--only", nargs="*", default=["/full/seed1", "/lora/seed1", "/apet-discrete"], help="parts of names"
    )
    parser.add_argument("--cells", type=int, default=12, help="at most this many cells, spread over those chosen")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("/tmp/petscale-cells"), help="folder for inputs and results")
    args = parser.parse_args()

    from petscale.workspace.dag import Dag
    from petscale.workspace.study_file import read_yaml

    dag = Dag.from_config(read_yaml(args.study), str(args.study), HERE)
    names = [path.removeprefix("results/cells/").removesuffix("/result.json") for path in dag.results]
    chosen = [name for name in names if "seed1-" in name and any(part in name for part in args.only)]
    chosen = chosen[:: max(1, len(chosen) // args.cells)][: args.cells]
    files = sorted(
        {str(path) for name in chosen for path in dag.cell_inputs(name).values() if str(path).endswith(".json")}
    )
    checkouts = [
        Checkout(args.before.resolve(), args.work / "before", args.study),
        Checkout(HERE, args.work / "after", args.study),
    ]
    for checkout in checkouts:
        checkout.prepare(files)
        checkout.start()
    print(f"{'cell':<62}{'before, s':>10}{'after, s':>10}{'ratio':>8}{'score':>8}{'score':>8}")
    totals = [0.0, 0.0]
    for name in chosen:
        inputs = dag.cell_inputs(name)
        words = [
            "--spec",
            dag.cell_spec(name),
            "--tokens",
            str(inputs["tokens"]),
            "--backbone",
            str(inputs["backbone"]),
        ]
        rounds = [[checkout.seconds(name, words) for checkout in checkouts] for _ in range(args.rounds)]
        before, after = (statistics.median(times) for times in zip(*rounds, strict=True))
        ratio = statistics.median(after / before for before, after in rounds)
        totals = [totals[0] + before, totals[1] + after]
        scores = "".join(f"{checkout.score(name):8.1f}" for checkout in checkouts)
        print(f"{name.rsplit('-', 1)[0]:<62}{before:>10.2f}{after:>10.2f}{ratio:>8.2f}{scores}", flush=True)
    print(f"{'all':<62}{totals[0]:>10.2f}{totals[1]:>10.2f}{totals[1] / totals[0]:>8.2f}")


if __name__ == "__main__":
    main()
