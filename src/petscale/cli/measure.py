"""`petscale measure`: speed, memory and energy of one method, alone on its device."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from petscale.artefacts.layout import RESULTS, Layout
from petscale.cli.train import parse_spec
from petscale.errors import BadInput

log = logging.getLogger("petscale.measure")


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale measure`."""
    parser = subparsers.add_parser("measure", help="speed, memory and energy of one method (a rule's command)")
    parser.add_argument("measurement", help="its path below results/measurements")
    parser.add_argument("--spec", required=True, help="its specification (JSON)")
    parser.add_argument("--tokens", required=True, type=Path, help="manifest of the tokens")
    parser.add_argument("--backbone", required=True, type=Path, help="manifest of the backbone")
    parser.add_argument("--results", default=RESULTS, help="folder of results")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Measure one method on its device and write the record; return the exit code."""
    from petscale.study.measurement import Measurement

    try:
        measurement = Measurement.from_spec(parse_spec(args.spec, "measure"))
        planned = measurement.path
    except (BadInput, TypeError, AttributeError, ValueError) as error:
        raise BadInput(f"petscale measure: --spec: not a measurement's specification ({error})") from None
    if planned != args.measurement:
        raise BadInput(f"petscale measure: {args.measurement}: the specification is that of {planned}")
    for manifest in (args.tokens, args.backbone):
        if not manifest.exists():
            raise BadInput(f"{manifest}: missing; `snakemake` makes it")
    # The worker that small cells share is not used: a process of its own has the memory of this measurement alone.
    from petscale.training.measure import measure
    from petscale.training.setup import Inputs

    out = Path(Layout(args.results).measurement(args.measurement))
    record = measure(measurement, Inputs(args.tokens.parent, args.backbone.parent), out)
    log.info(
        "%s: trains %.0f and reads %.0f tokens/s, %.0f MiB",
        record.measurement,
        record.training.median,
        record.inference.median,
        record.peak_memory / 2**20,
    )
    return 0
