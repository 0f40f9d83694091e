"""`petscale track`: sends the results of cells to MLflow; no other process writes there."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petscale.artefacts.layout import RESULTS, Layout
from petscale.cli.studies import add_study, opened_as_run
from petscale.errors import BadInput

if TYPE_CHECKING:
    from petscale.study.grid import Grid
    from petscale.tracking.store import Store


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale track`."""
    parser = subparsers.add_parser("track", help="send metrics and artifacts to MLflow")
    add_study(parser, as_run=True)
    parser.add_argument("--study-json", help="the study as JSON, which the rule passes instead of a file")
    parser.add_argument("--cells", nargs="+", metavar="PATH", help="only these cells (paths, or their result.json)")
    parser.add_argument("--follow", action="store_true", help="send running cells too, until all have ended")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between rounds of --follow (default: 5)")
    parser.add_argument("--verify", action="store_true", help="compare files and store key by key; sends nothing")
    parser.add_argument("--uri", help="MLflow store (default: $MLFLOW_TRACKING_URI, else SQLite below results/)")
    parser.add_argument("--results", default=RESULTS, help="folder of results")
    parser.add_argument("--out", type=Path, help="what was tracked, as JSON (the rule's output)")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Send what is new of a study to MLflow, follow it, or compare files and store; return the exit code."""
    from petscale.artefacts.files import write_atomically
    from petscale.tracking.address import masked
    from petscale.tracking.rounds import Tracker
    from petscale.tracking.store import Store, StoreUnavailable

    grid = _grid(args)
    cells = _chosen(args, grid)
    root = args.results.rstrip("/")
    layout = Layout(root)
    uri = args.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{layout.store()}"

    def open_store() -> Store:
        return Store(uri, Path(layout.store_artifacts()))

    if args.verify:
        return _verify(open_store(), grid, cells, root)
    tracker = Tracker(grid, root, cells)
    try:
        done = tracker.follow(open_store, _tell, args.every) if args.follow else tracker.round(open_store)
    except KeyboardInterrupt:
        return 0  # Ctrl-C ends --follow; the next round or `track` sends what is missing
    for line in (*done.damaged, *done.refused):
        _tell(line)
    print(f"{masked(uri)}: {done.line()}")
    if done.damaged or done.refused:
        return int(BadInput.exit_code if done.damaged else StoreUnavailable.exit_code)
    if args.out:
        document = {"study": grid.study.name, "store": masked(uri), "cells": dict(sorted(done.phases.items()))}
        write_atomically(args.out, json.dumps(document, indent=1) + "\n")
    return 0


def _tell(line: str) -> None:
    print(f"petscale: {line}", file=sys.stderr, flush=True)


def _grid(args: argparse.Namespace) -> Grid:
    from petscale.workspace.grid import open_grid
    from petscale.workspace.searches import with_found
    from petscale.workspace.study_file import parse_study

    layout = Layout(args.results.rstrip("/"))
    if args.study_json is None:
        return with_found(open_grid(opened_as_run(args).load()), layout)
    try:
        document = json.loads(args.study_json)
    except ValueError as error:
        raise BadInput(f"petscale track: --study-json: not JSON ({error})") from None
    return with_found(open_grid(parse_study(document, "--study-json")), layout)


def _chosen(args: argparse.Namespace, grid: Grid) -> list[str]:
    """The cells to look at, checked against the study."""
    if args.cells is None:
        return list(grid.cells)
    chosen = [Layout(args.results).named_cell(text) for text in args.cells]
    for cell in chosen:
        if cell not in grid.cells:
            raise BadInput(f"petscale track: --cells: {cell}: no cell of study {grid.study.name}")
    return chosen


def _verify(store: Store, grid: Grid, cells: list[str], root: str) -> int:
    """Print the differences, and return 1 if there are any, as diff does. Receipts of such cells are deleted."""
    from petscale.tracking.ledger import drop_receipt
    from petscale.tracking.verify import verify

    found = verify(store, grid, cells, root)
    for cell, lines in found.different.items():
        for line in lines:
            print(f"{cell}: {line}")
    for cell, line in found.damaged.items():
        print(f"{cell}: damaged: {line}")
    for line in found.study:
        print(f"study {grid.study.name}: {line}")
    for cell in (*found.different, *found.damaged):
        drop_receipt(root, cell)
    print(found.line())
    return 0 if found.fine else 1
