"""`petscale backbone`: makes a checked backbone folder from a mini ladder, a local folder or the hub's cache."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale backbone`."""
    parser = subparsers.add_parser("backbone", help="a checked backbone folder (a rule's command)")
    parser.add_argument("--spec", required=True, help="name, weights and folder (JSON)")
    parser.add_argument("--out", required=True, type=Path, help="manifest to write; its folder gets the backbone")
    parser.add_argument("--rebuild", action="store_true", help="pre-train mini backbones even if they are shipped")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Check a backbone and write its folder with a manifest; return the exit code."""
    from petscale.cli.train import parse_spec
    from petscale.errors import BadInput
    from petscale.fetching.materialise import materialise

    spec = parse_spec(args.spec, "backbone")
    name, weights, local = spec.get("name"), spec.get("weights"), spec.get("folder")
    if not (isinstance(name, str) and isinstance(weights, str) and (local is None or isinstance(local, str))):
        raise BadInput("petscale backbone: --spec: name, weights and folder (or null) are needed, as text")
    folder = Path(local) if local else None
    materialise(name, args.out.parent, folder=folder, revision=weights, rebuild=args.rebuild)
    return 0
