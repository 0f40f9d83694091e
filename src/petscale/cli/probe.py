"""`petscale probe`: one seed of one round of a search for thresholds or rates (a rule's command)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from petscale.artefacts.layout import RESULTS, Layout
from petscale.cli.train import add_job_options, job_of, parse_spec
from petscale.cli.worker import run_in_worker
from petscale.errors import BadInput, Exit


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale probe`."""
    parser = subparsers.add_parser("probe", help="decide a cell of a search for thresholds or rates, and train it")
    parser.add_argument("--search", required=True, help="the search (JSON)")
    parser.add_argument("--round", required=True, type=int, help="number of the round, from 1")
    parser.add_argument("--seed", required=True, type=int, help="seed of the cell")
    parser.add_argument("--tokens", required=True, type=Path, help="manifest of the cell's tokens")
    parser.add_argument("--backbone", required=True, type=Path, help="manifest of the cell's backbone")
    parser.add_argument("--results", default=RESULTS, help="folder of results")
    add_job_options(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Run the cells of one seed of one round of a search; return the exit code."""
    if args.warm:
        code = run_in_worker([word for word in sys.argv[1:] if word != "--warm"])
        if code is not None:
            return code
    from petscale.study.rates import search_from_spec

    search = search_from_spec(parse_spec(args.search, "probe", "--search"))
    if args.seed not in search.seeds or not 1 <= args.round <= search.rounds:
        raise BadInput(f"petscale probe: {search.path}: no round {args.round} with seed {args.seed}")
    from petscale.study.cell import Cell
    from petscale.training.current import current_result
    from petscale.training.probe import run_probe
    from petscale.training.run import run_cell

    layout = Layout(args.results)

    def train(cell: Cell) -> Exit:
        job = job_of(args, layout, cell.path, args.tokens, args.backbone)
        if current_result(job.folder, cell, job.inputs) is not None:
            return Exit.DONE
        return run_cell(cell, job)

    return int(run_probe(search, args.round, args.seed, layout, train))
