"""`petscale backbone`: a checked backbone folder from the mini ladder, a local folder or the hub's cache."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("backbone", help="a checked backbone folder (a rule's command)")
    parser.add_argument("--spec", required=True, help="name, weights and folder (JSON)")
    parser.add_argument("--out", required=True, type=Path, help="manifest to write; its folder gets the backbone")
    parser.add_argument("--rebuild", action="store_true", help="pre-train mini backbones even where they are shipped")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    from petscale.backbones.folder import materialise

    spec = json.loads(args.spec)
    folder = Path(spec["folder"]) if spec["folder"] else None
    materialise(spec["name"], args.out.parent, folder=folder, revision=spec["weights"], rebuild=args.rebuild)
    return 0
