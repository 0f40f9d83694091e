"""`petscale train`: trains one cell, with or without Snakemake."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petscale.artefacts.layout import RESULTS, Layout
from petscale.cli.studies import add_config, opened_as_run
from petscale.cli.worker import run_in_worker
from petscale.errors import BadInput, Exit

if TYPE_CHECKING:
    from petscale.training.run import Job


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale train`."""
    parser = subparsers.add_parser("train", help="train one cell")
    parser.add_argument("cell", help="the cell's path below results/cells, or a path to its result.json")
    parser.add_argument("--study", default="config.yaml", help="the study file that plans the cell")
    add_config(parser, as_run=True)
    parser.add_argument("--spec", help="the cell's specification (JSON), instead of --study")
    parser.add_argument("--tokens", type=Path, help="manifest of the cell's tokens")
    parser.add_argument("--backbone", type=Path, help="manifest of the cell's backbone")
    parser.add_argument("--results", default=RESULTS, help="folder of results")
    add_job_options(parser)
    parser.set_defaults(func=run)


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """The options that say where and how long an attempt at a cell runs."""
    parser.add_argument("--deadline", type=float, help="seconds after which to save and exit with code 85")
    parser.add_argument("--checkpoint-seconds", type=float, default=300.0, help="seconds between checkpoints")
    parser.add_argument("--checkpoint-steps", type=int, help="steps between checkpoints, for tests")
    parser.add_argument("--devices", type=int, default=1, help="devices of this machine to train on")
    parser.add_argument("--micro-batch", type=int, help="most examples that a device processes at once")
    parser.add_argument("--warm", action="store_true", help="run in a child of the warm worker if there is one")


def run(args: argparse.Namespace) -> int:
    """Train one cell and publish its record; return the exit code."""
    if args.warm:
        code = run_in_worker([word for word in sys.argv[1:] if word != "--warm"])
        if code is not None:
            return code
    return int(_train(args))


def _train(args: argparse.Namespace) -> Exit:
    layout = Layout(args.results)
    path = layout.named_cell(args.cell)
    if args.spec is None:
        spec, tokens, backbone, options = _from_study(args, path)
    else:
        if args.tokens is None or args.backbone is None:
            raise BadInput("petscale train: --spec needs --tokens and --backbone")
        spec, tokens, backbone, options = parse_spec(args.spec), args.tokens, args.backbone, "--cores 2"
    from petscale.study.cell import Cell

    try:
        cell = Cell.from_spec(spec)
        planned = cell.path
    except (BadInput, TypeError, AttributeError, ValueError) as error:
        raise BadInput(f"petscale train: --spec: not a cell's specification ({error})") from None
    if planned != path:
        raise BadInput(f"petscale train: {path}: the specification is that of {planned}")
    job = job_of(args, layout, path, tokens, backbone, options)
    from petscale.training.run import run_cell

    return run_cell(cell, job)


def job_of(
    args: argparse.Namespace, layout: Layout, path: str, tokens: Path, backbone: Path, options: str = "--cores 2"
) -> Job:
    """The attempt at a cell that the options describe.

    Args:
        args: the options of `add_job_options`.
        layout: the folder of results.
        path: the cell.
        tokens: manifest of its tokens.
        backbone: manifest of its backbone.
        options: options of the `snakemake` that makes a missing input, for the message.

    Raises:
        BadInput: an option is out of range, or an input is missing.
    """
    for option, value in (("--devices", args.devices), ("--micro-batch", args.micro_batch)):
        if value is not None and value < 1:
            raise BadInput(f"petscale {args.command}: {option} {value}: 1 at least")
    for manifest, maker in ((tokens, "tokenize"), (backbone, "backbone")):
        if not manifest.exists():
            from petscale.workspace.commands import snakemake

            command = snakemake(str(manifest), options)
            raise BadInput(f"{manifest}: missing; `{command}` makes it (rule {maker})")
    from petscale.training.run import Job
    from petscale.training.setup import Inputs

    return Job(
        inputs=Inputs(tokens=tokens.parent, backbone=backbone.parent),
        folder=Path(layout.cell(path)),
        state=Path(layout.state(path)),
        started=args.started,
        deadline_s=args.deadline,
        checkpoint_every_s=args.checkpoint_seconds,
        checkpoint_every_steps=args.checkpoint_steps,
        devices=args.devices,
        micro_batch=args.micro_batch,
    )


def parse_spec(text: str, command: str = "train", option: str = "--spec") -> dict[str, Any]:
    """Parse a specification from the command line.

    Raises:
        BadInput: the text is not a JSON object; the message names the command and the option.
    """
    try:
        spec = json.loads(text)
    except ValueError as error:
        raise BadInput(f"petscale {command}: {option}: not JSON ({error})") from None
    if not isinstance(spec, dict):
        raise BadInput(f"petscale {command}: {option}: not a JSON object")
    return spec


def _from_study(args: argparse.Namespace, path: str) -> tuple[dict[str, Any], Path, Path, str]:
    """The cell's specification, the manifests of its tokens and backbone, and the options of `snakemake`."""
    from petscale.workspace.commands import snakemake_options
    from petscale.workspace.dag import Dag

    file = opened_as_run(args)
    dag = Dag.from_config(file.document(), args.study, Path.cwd())
    inputs, options = dag.cell_inputs(path), snakemake_options(file.path, file.config)
    return dag.planned(path).cell.spec(), Path(inputs["tokens"]), Path(inputs["backbone"]), options
