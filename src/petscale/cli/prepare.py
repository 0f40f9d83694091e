"""`petscale prepare`: rows of one task, checked and split."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale prepare`."""
    parser = subparsers.add_parser("prepare", help="rows of one task (a rule's command)")
    parser.add_argument("--spec", required=True, help="the data's specification (JSON)")
    parser.add_argument("--out", required=True, type=Path, help="manifest to write; its folder gets the rows")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Write the rows of one task with a manifest; return the exit code."""
    from petscale import tasks
    from petscale.cli.train import parse_spec
    from petscale.data.prepare import prepare
    from petscale.data.sources import make_source
    from petscale.errors import BadInput

    document = parse_spec(args.spec, "prepare")
    try:
        spec, folder = document["spec"], document["folder"]
        names = {key: spec[key] for key in ("task", "source", "rows")}
        split = {key: spec[key] for key in ("dev_size", "max_train", "max_test", "few_shot", "split_seed")}
        flaws = spec.get("flaws", "refuse")
        if flaws not in ("refuse", "drop"):
            raise TypeError("flaws is refuse or drop")
        if not all(isinstance(name, str) for name in (*names.values(), folder or "")):
            raise TypeError("task, source, rows and folder are text")
        if not all(value is None or isinstance(value, int) for value in split.values()):
            raise TypeError("sizes and seeds are integers")
    except (KeyError, TypeError) as error:
        raise BadInput(f"petscale prepare: --spec: not a data specification ({error})") from None
    task = tasks.lookup(names["task"])
    place = Path(folder) if folder else None
    source = make_source(task, names["source"], folder=place, name=names["rows"], flaws=flaws)
    prepare(task, source, args.out.parent, **split)
    return 0
