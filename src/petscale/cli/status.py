"""`petscale status`: done, failed, running, pending; causes; and the command that reruns each cell."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petscale.cli.studies import add_study, opened_as_run

if TYPE_CHECKING:
    from petscale.workspace.status import CellStatus

ORDER = ("done", "diverged", "running", "interrupted", "failed", "pending")
PENDING_SHOWN = 10  # of thousands of cells that did not begin, the first tell enough


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale status`."""
    parser = subparsers.add_parser("status", help="which cells are done, failed, running, pending")
    add_study(parser, as_run=True)
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON object with `cells`, `inputs`, `rows`, `searches`, `measurements` and `totals`",
    )
    parser.add_argument("--profile", help="profile to put into the rerun commands, e.g. slurm")
    parser.add_argument(
        "--stale", action="store_true", help="only done cells that other code, other rows or other weights made"
    )
    parser.add_argument(
        "--read-again", action="store_true", help="read local rows and backbones anew, even if size and times are equal"
    )
    parser.add_argument("--all", action="store_true", help="list done cells and all pending ones too")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Print the state of each cell, and the command that reruns it; return the exit code."""
    from petscale.artefacts.layout import Layout
    from petscale.workspace.commands import snakemake_options
    from petscale.workspace.grid import open_grid
    from petscale.workspace.measurements import measurement_status
    from petscale.workspace.searches import search_status, with_found
    from petscale.workspace.status import input_failures, study_status, told_of_rows

    file = opened_as_run(args)
    planned, options = open_grid(file.load()), snakemake_options(file.path, file.config, args.profile)
    grid = with_found(planned, Layout())
    cells = study_status(grid, Path(), options, read_again=args.read_again)
    searches = search_status(planned, Layout(), options)
    measurements = measurement_status(grid, Path(), options)
    failures = input_failures(grid, Path(), options)
    rows = [] if args.stale else told_of_rows(grid, Path())
    if args.stale:
        cells, failures = [cell for cell in cells if cell.stale], []
        measurements = [each for each in measurements if each.stale]
    totals = dict.fromkeys(ORDER, 0) | Counter(cell.phase for cell in cells)
    if args.json:
        document = {
            "cells": [asdict(cell) for cell in cells],
            "inputs": [asdict(failure) for failure in failures],
            "rows": [asdict(each) for each in rows],
            "searches": [asdict(each) for each in searches],
            "measurements": [asdict(each) for each in measurements],
            "totals": totals,
        }
        print(json.dumps(document, indent=1))
        return 0
    for failure in failures:
        print(f"{'input':11}  {failure.manifest}  {failure.cause}\n{'':11}  rerun: {failure.rerun}")
    for each in rows:
        print(f"{'rows':11}  {each.manifest}  {each.split}: {each.count} x {each.what}")
    shown = cells if args.all or args.stale else _worth_showing(cells)
    for cell in shown:
        print(f"{cell.phase:11}  {cell.cell}{_detail(cell)}")
        if cell.has_other_inputs or cell.phase not in ("done", "running"):
            print(f"{'':11}  rerun: {cell.rerun}")
    for search in () if args.stale else searches:
        if args.all or search.phase not in ("ended", "pending"):
            print(f"{search.phase:11}  search {search.search}{_so_far(search)}")
            if search.phase == "failed":
                print(f"{'':11}  continue: {search.rerun}")
    for one in measurements:
        if args.all or args.stale or one.phase == "failed":
            words = "other code than this made it" if one.stale else one.cause
            print(f"{one.phase:11}  measurement {one.measurement}{f'  {words}' if words else ''}")
            if one.phase == "failed":
                print(f"{'':11}  rerun: {one.rerun}")
    hidden = totals["pending"] - sum(cell.phase == "pending" for cell in shown)
    if hidden:
        print(f"{'pending':11}  {hidden} more (`petscale status --all` lists them); all: snakemake {options}")
    print(f"{len(cells)} cells: " + ", ".join(f"{count} {phase}" for phase, count in totals.items() if count))
    if searches and not args.stale:
        phases = Counter(search.phase for search in searches)
        print(f"{len(searches)} searches: " + ", ".join(f"{count} {phase}" for phase, count in phases.items()))
    if measurements:
        phases = Counter(one.phase for one in measurements)
        print(f"{len(measurements)} measurements: " + ", ".join(f"{count} {phase}" for phase, count in phases.items()))
    changed = sum(cell.has_other_inputs for cell in cells)
    if changed and not args.stale:
        print(
            f"{changed} of them were trained on rows or weights that are no longer there; `snakemake` trains them anew"
        )
    return 0


def _so_far(search: Any) -> str:
    rounds = (
        f"  round {search.rounds} of at most {search.most_rounds}, {search.cells} of at most {search.most_cells} cells"
    )
    end = f", {search.ended}" if search.ended else ""
    return rounds + end + (f"  failed: {search.failed}" if search.failed else "")


def _worth_showing(cells: list[CellStatus]) -> list[CellStatus]:
    """Cells that need the user: not the done ones, and of those that did not begin only the first."""
    pending = [cell.cell for cell in cells if cell.phase == "pending"][:PENDING_SHOWN]
    return [
        cell for cell in cells if cell.has_other_inputs or cell.cell in pending or cell.phase not in ("done", "pending")
    ]


def _detail(cell: CellStatus) -> str:
    if cell.phase == "running" and cell.step is not None:
        loss = "-" if cell.loss is None else f"{cell.loss:.4f}"
        dev = "-" if cell.dev is None else f"{cell.dev:.4f}"
        left = "-" if cell.left_s is None else f"{cell.left_s:.0f} s"
        return f"  step {cell.step}/{cell.steps}  loss {loss}  dev {dev}  left {left}"
    words = "; ".join(word for word in (cell.cause, cell.stale_cause) if word)
    return f"  {words}" if words else ""
