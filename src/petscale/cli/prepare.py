"""`petscale prepare`: rows of one task, checked and split."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("prepare", help="rows of one task (a rule's command)")
    parser.add_argument("--spec", required=True, help="the data's specification (JSON)")
    parser.add_argument("--out", required=True, type=Path, help="manifest to write; its folder gets the rows")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    from petscale import tasks
    from petscale.data.prepare import prepare
    from petscale.data.sources import make_source

    document = json.loads(args.spec)
    spec = document["spec"]
    task = tasks.lookup(spec["task"])
    folder = Path(document["folder"]) if document["folder"] else None
    prepare(
        task,
        make_source(task, spec["source"], folder=folder, name=spec["rows"]),
        args.out.parent,
        dev_size=spec["dev_size"],
        max_train=spec["max_train"],
        max_test=spec["max_test"],
        few_shot=spec["few_shot"],
        split_seed=spec["split_seed"],
    )
    return 0
