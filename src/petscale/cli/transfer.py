"""`petscale transfer`: scores a trained cell on another task's test rows, without retraining."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from petscale.cli.worker import run_in_worker


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale transfer`."""
    parser = subparsers.add_parser("transfer", help="score a trained cell on another task")
    parser.add_argument("--source", required=True, type=Path, help="result.json of the source cell")
    parser.add_argument("--tokens", required=True, type=Path, help="manifest of the target task's tokens")
    parser.add_argument("--own", required=True, type=Path, help="manifest of the tokens that the source trained on")
    parser.add_argument("--backbone", required=True, type=Path, help="manifest of the source cell's backbone")
    parser.add_argument("--out", required=True, type=Path, help="JSON file to write")
    parser.add_argument("--warm", action="store_true", help="run in a child of the warm worker if there is one")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Score a trained cell on another task and write the record; return the exit code."""
    if args.warm:
        code = run_in_worker([word for word in sys.argv[1:] if word != "--warm"])
        if code is not None:
            return code
    from petscale.training.transfer import transfer

    transfer(args.source, args.tokens.parent, args.own.parent, args.backbone.parent, args.out)
    return 0
