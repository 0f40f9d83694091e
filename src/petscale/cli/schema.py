"""`petscale schema`: write the JSON schema and the default study file, or check that they are current."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from petscale.artefacts.files import write_atomically
from petscale.errors import BadInput


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale schema`."""
    parser = subparsers.add_parser("schema", help="default study file and JSON schema, generated from the models")
    parser.add_argument("--check", action="store_true", help="exit 2 when a file on disk differs")
    parser.add_argument("--force", action="store_true", help="overwrite files that differ, edited ones included")
    parser.add_argument("--root", type=Path, default=Path(), help="the project's folder")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Write the generated files, or check that those on disk are current; return the exit code."""
    from petscale.study.defaults import generated_files

    files = {args.root / name: text for name, text in generated_files().items()}
    differing = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    if args.check:
        if differing:
            raise BadInput(f"{differing[0]}: differs from the models; `petscale schema --force` writes it")
        return 0
    # Nobody can tell a file that an earlier version generated from one that was edited.
    edited = [path for path in differing if path.exists()]
    if edited and not args.force:
        raise BadInput(
            f"{edited[0]}: exists and is not what would be written, nothing was; --force overwrites it, or --root "
            "names another folder"
        )
    for path, text in files.items():
        if path in differing:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text)
        print(f"{path}: {'written' if path in differing else 'as it should be'}")
    return 0
