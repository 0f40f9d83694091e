"""`petscale status`: done, failed, running, pending; causes; and the command that reruns each cell."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

ORDER = ("done", "diverged", "running", "interrupted", "failed", "pending")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("status", help="which cells are done, failed, running, pending")
    parser.add_argument("study", nargs="?", default="config.yaml", type=Path, help="study file (default: config.yaml)")
    parser.add_argument("--json", action="store_true", help="one JSON object with `cells`, `searches` and `totals`")
    parser.add_argument("--profile", help="profile to put into the rerun commands, e.g. slurm")
    parser.add_argument("--stale", action="store_true", help="only done cells that other code made")
    parser.add_argument("--all", action="store_true", help="list done and pending cells too")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    from petscale.artefacts.layout import Layout
    from petscale.workspace.grid import open_grid
    from petscale.workspace.searches import search_status, with_found
    from petscale.workspace.status import study_status
    from petscale.workspace.study_file import load_study

    where = f"--profile {args.profile}" if args.profile else "--cores 2"
    # Snakemake reads the default study by itself, so it need not be named as a configfile.
    command = where if str(args.study) == "config.yaml" else f"{where} --configfile {args.study}"
    grid, layout = open_grid(load_study(args.study)), Layout()
    cells = study_status(with_found(grid, layout), Path(), command)
    searches = search_status(grid, layout, command)
    if args.stale:
        cells = [cell for cell in cells if cell.stale]
    totals = dict.fromkeys(ORDER, 0) | Counter(cell.phase for cell in cells)
    if args.json:
        print(
            json.dumps(
                {
                    "cells": [asdict(cell) for cell in cells],
                    "searches": [asdict(each) for each in searches],
                    "totals": totals,
                },
                indent=1,
            )
        )
        return 0
    for cell in cells:
        if args.all or args.stale or cell.phase not in ("done", "pending"):
            print(f"{cell.phase:11}  {cell.cell}{_detail(cell)}")
            if cell.phase not in ("done", "running"):
                print(f"{'':11}  rerun: {cell.rerun}")
    for search in () if args.stale else searches:
        if args.all or search.phase not in ("ended", "pending"):
            print(f"{search.phase:11}  search {search.search}{_so_far(search)}")
            if search.phase == "failed":
                print(f"{'':11}  continue: {search.rerun}")
    print(f"{len(cells)} cells: " + ", ".join(f"{count} {phase}" for phase, count in totals.items() if count))
    if searches and not args.stale:
        phases = Counter(search.phase for search in searches)
        print(
            f"{len(searches)} threshold searches: " + ", ".join(f"{count} {phase}" for phase, count in phases.items())
        )
    return 0


def _so_far(search: Any) -> str:
    rounds = (
        f"  round {search.rounds} of at most {search.most_rounds}, {search.cells} of at most {search.most_cells} cells"
    )
    end = f", {search.ended}" if search.ended else ""
    return rounds + end + (f"  failed: {search.failed}" if search.failed else "")


def _detail(cell: Any) -> str:
    if cell.phase == "running" and cell.step is not None:
        loss = "-" if cell.loss is None else f"{cell.loss:.4f}"
        dev = "-" if cell.dev is None else f"{cell.dev:.4f}"
        left = "-" if cell.left_s is None else f"{cell.left_s:.0f} s"
        return f"  step {cell.step}/{cell.steps}  loss {loss}  dev {dev}  left {left}"
    return f"  {cell.cause}" if cell.cause else ""
