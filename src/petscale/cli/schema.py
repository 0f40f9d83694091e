"""`petscale schema`: write the JSON schema and the default study file, or check that they are current."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from petscale.errors import BadInput


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("schema", help="default study file and JSON schema, generated from the models")
    parser.add_argument("--check", action="store_true", help="exit 2 when a file on disk differs")
    parser.add_argument("--root", type=Path, default=Path(), help="the project's folder")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    from petscale.study.defaults import generated_files

    for name, text in generated_files().items():
        path = args.root / name
        if not args.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            raise BadInput(f"{path}: differs from the models; `petscale schema` writes it")
    return 0
