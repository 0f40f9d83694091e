"""The arguments that name a study: the study file, and values that replace those of the file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from petscale.workspace.study_file import StudyFile


def add_study(parser: argparse.ArgumentParser, *, as_run: bool = False) -> None:
    """Add the study file and `--config` to a command.

    Args:
        parser: parser of the command.
        as_run: whether the command asks about the last run of `snakemake`, as `opened_as_run` does.
    """
    parser.add_argument("study", nargs="?", default="config.yaml", type=Path, help="study file (default: config.yaml)")
    add_config(parser, as_run=as_run)


def add_config(parser: argparse.ArgumentParser, *, as_run: bool = False) -> None:
    """Add `--config` alone."""
    default = "; those of the last run of snakemake when absent" if as_run else ""
    parser.add_argument(
        "--config", nargs="+", metavar="KEY=VALUE", help=f"values instead of the file's, as for snakemake{default}"
    )


def opened(args: argparse.Namespace) -> StudyFile:
    """The study file of the arguments, with the values of `--config`."""
    from petscale.workspace.study_file import StudyFile

    return StudyFile(Path(args.study), tuple(args.config or ()))


def opened_as_run(args: argparse.Namespace) -> StudyFile:
    """The study file as the last `snakemake` ran it. If that had values of its own, one line on stderr says so."""
    from petscale.workspace.study_file import StudyFile

    file = StudyFile.as_run(Path(args.study), args.config)
    if remark := file.remark():
        print(f"petscale: {args.study}: {remark}", file=sys.stderr)
    return file
