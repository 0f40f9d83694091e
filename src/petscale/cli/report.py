"""`petscale report`: the report of a study as one page, and its figures as SVG."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from petscale.artefacts.layout import RESULTS


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale report`."""
    parser = subparsers.add_parser("report", help="the report of a study (a rule's command)")
    parser.add_argument("plan", type=Path, help="plan.json of the study")
    parser.add_argument("--results", type=Path, default=Path(RESULTS), help="folder with cells/ and transfer/")
    parser.add_argument("--tables", type=Path, help="tables of `petscale analyse` (default: tables/ beside the plan)")
    parser.add_argument("--out", type=Path, help="page to write (default: report.html beside the plan)")
    parser.add_argument("--figures", type=Path, help="folder for the SVG files (default: figures/ beside the page)")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Write the report of a study from its tables; return the exit code."""
    from petscale.report.build import build

    out = args.out or args.plan.parent / "report.html"
    tables = args.tables or args.plan.parent / "tables"
    build(args.plan, args.results, tables, out, args.figures or out.parent / "figures")
    return 0
