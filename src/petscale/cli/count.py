"""`petscale count`: shows exact parameter counts of a method on a backbone, computed from its shape."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from petscale.families.shape import BackboneShape


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale count`."""
    parser = subparsers.add_parser("count", help="exact parameter counts of a method on a backbone")
    parser.add_argument("backbone", help="a name of the catalogue, or a folder with config.json")
    parser.add_argument("method", help="see `petscale methods`")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--budget", type=int, metavar="N", help="trainable scalars, for methods that take a budget")
    budget.add_argument("--match", metavar="METHOD", help="as many scalars as this method trains")
    parser.add_argument("--mask-seed", type=int, default=0, metavar="S", help="seed of the masks (default 0)")
    parser.add_argument("--target-length", type=int, metavar="T", help="tokens of the target (default: long)")
    parser.add_argument(
        "--labels", type=int, default=2, metavar="K", help="classes of a classification head (default 2)"
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=JSON", help="an option of the method, e.g. rank=4"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Print the exact counts of a method on a backbone; return the exit code."""
    from petscale.families.registry import family_of, total_parameters
    from petscale.tuning.registry import make_plan, matched_budget

    shape = shape_of(args.backbone)
    budget = matched_budget(shape, args.match) if args.match else args.budget
    plan = make_plan(
        shape,
        args.method,
        budget=budget,
        mask_seed=args.mask_seed,
        options=dict(_option(text) for text in args.option),
        target_length=args.target_length,
    )
    counts = plan.counts
    fields = {
        "trainable": counts.trainable,
        "effective": counts.effective,
        "deployed": counts.deployed,
        "touched": counts.touched,
        "rank": counts.rank,
        "head": family_of(shape).head_parameters(shape, args.labels),
        "total": total_parameters(shape),
        "percent": 100 * counts.trainable / total_parameters(shape),
        "by_operation": dict(counts.by_operation),
        "by_role": dict(counts.by_role),
    }
    print(json.dumps(fields, indent=1) if args.json else _table(fields))
    return 0


def shape_of(backbone: str) -> BackboneShape:
    """The shape of a catalogue name, or of a folder from its config and the header of its weights.

    Raises:
        BadInput: there is no such name or folder, or the folder's files cannot be read.
    """
    from petscale.backbones.catalogue import lookup
    from petscale.backbones.reading import read_shape

    folder = Path(backbone)
    return read_shape(folder, weights=False) if folder.is_dir() else lookup(backbone).shape


def _option(text: str) -> tuple[str, Any]:
    from petscale.errors import BadInput

    key, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"--option {text}: expected KEY=JSON")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value  # a bare word is a string


_SCALARS = ("trainable", "effective", "deployed", "touched", "rank", "head", "total")


def _table(fields: dict[str, Any]) -> str:
    lines = [f"{name:<24}{_whole(fields[name]):>18}" for name in _SCALARS]
    lines.append(f"{'percent':<24}{fields['percent']:>18.4f}")
    for group, title in (("by_operation", "by operation"), ("by_role", "by role")):
        lines.append(title)
        lines += [f"  {name:<22}{count:>18,}" for name, count in fields[group].items()]
    return "\n".join(lines)


def _whole(number: int | None) -> str:
    return "none" if number is None else f"{number:,}"
