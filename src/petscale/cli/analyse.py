"""`petscale analyse`: the tables of a study from its finished cells."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from petscale.artefacts.layout import RESULTS


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale analyse`."""
    parser = subparsers.add_parser("analyse", help="tables of a study (a rule's command)")
    parser.add_argument("plan", type=Path, help="plan.json of the study")
    parser.add_argument("--results", type=Path, default=Path(RESULTS), help="folder with cells/ and transfer/")
    parser.add_argument("--out", type=Path, help="folder for the CSV tables (default: tables/ beside the plan)")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Write the tables of a study as CSV files; return the exit code."""
    from petscale.analysis.run import analyse

    analyse(args.plan, args.results, args.out or args.plan.parent / "tables")
    return 0
