"""`petscale tokenize`: makes the token ids of prepared rows for one tokenizer, for all cells that share it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale tokenize`."""
    parser = subparsers.add_parser("tokenize", help="token ids of prepared rows (a rule's command)")
    parser.add_argument("--data", required=True, type=Path, help="manifest of the prepared rows")
    parser.add_argument("--backbone", required=True, type=Path, help="manifest of the backbone with the tokenizer")
    parser.add_argument("--labels", required=True, choices=["words", "unified"], help="label words or unified digits")
    parser.add_argument("--out", required=True, type=Path, help="manifest to write; its folder gets the tokens")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Write the token ids of prepared rows with a manifest; return the exit code."""
    from petscale import tasks
    from petscale.backbones.folder import read_manifest
    from petscale.data.tokenize import tokenize
    from petscale.families.registry import lookup

    task = tasks.lookup(json.loads(args.data.read_text())["task"])
    family = lookup(read_manifest(args.backbone.parent)["shape"]["family"])
    tokenize(args.data.parent, task, args.backbone.parent, family, args.out.parent, labels=args.labels)
    return 0
