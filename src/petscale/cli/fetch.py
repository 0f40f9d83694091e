"""`petscale fetch STUDY`: download what a study needs, on a machine with network."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from petscale.cli.studies import add_config, opened


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale fetch`."""
    parser = subparsers.add_parser("fetch", help="download backbones and data sets of a study")
    parser.add_argument("study", type=Path, help="study file")
    add_config(parser)
    parser.add_argument("--cache", type=Path, help="folder (default: $PETSCALE_CACHE or ~/.cache/petscale)")
    parser.add_argument("--dry-run", action="store_true", help="only list what would be downloaded")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Download what a study needs into the cache, or list it with sizes; return the exit code."""
    from petscale.fetching.fetch import fetch
    from petscale.tasks import lookup

    study = opened(args).load()
    backbones = [name for ladder in study.ladders for name in ladder.backbones if name not in study.folders]
    tasks = [lookup(name) for name in study.tasks] if study.data.source == "hub" else []
    fetch(tasks, backbones, args.cache, dry_run=args.dry_run)
    return 0
