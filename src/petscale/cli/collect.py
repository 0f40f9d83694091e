"""`petscale collect`: writes the plan of a study (plan.json) into the folder of its results."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale collect`."""
    parser = subparsers.add_parser("collect", help="freeze the plan of a study (a rule's command)")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--study", type=Path, help="study file")
    source.add_argument("--study-json", help="the study as JSON, which the rule passes")
    parser.add_argument("--out", required=True, type=Path, help="plan.json to write")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Freeze the plan of a study, or gather its results; return the exit code."""
    from petscale import __version__
    from petscale.artefacts.files import write_atomically
    from petscale.artefacts.layout import Layout
    from petscale.workspace.commit import commit_of
    from petscale.workspace.grid import open_grid
    from petscale.workspace.inputs import changed_since
    from petscale.workspace.plan import plan_document
    from petscale.workspace.searches import search_status, with_found
    from petscale.workspace.study_file import load_study, parse_study

    study = load_study(args.study) if args.study else parse_study(json.loads(args.study_json), "--study-json")
    planned, layout = open_grid(study), Layout()
    grid = with_found(planned, layout)
    document = plan_document(grid)
    ended = {status.search: status.ended for status in search_status(planned, layout, command="")}
    for entry in (*document["searches"], *document["rate_searches"]):
        entry["ended"] = ended[entry["search"]]
    document["changed_inputs"] = changed_since(grid, layout)
    document["provenance"] = {"commit": commit_of(Path.cwd()), "petscale": __version__}
    write_atomically(args.out, json.dumps(document, indent=1, sort_keys=True) + "\n")
    return 0
