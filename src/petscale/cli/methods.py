"""`petscale methods`: what exists, with reference, operation and formula."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale methods`."""
    parser = subparsers.add_parser("methods", help="the methods that exist")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Print the methods with their options; return the exit code."""
    from petscale.tuning.registry import METHODS

    found = {
        method.name: {
            "version": method.version,
            "reference": method.reference,
            "operations": list(method.operations),
            "formula": method.formula,
            "structure": method.structure,
            "takes_budget": method.takes_budget,
            "identity_at_start": method.identity_at_start,
            "options": {name: option["default"] for name, option in method.options.described().items()},
            "option_details": method.options.described(),
        }
        for method in METHODS.values()
    }
    print(json.dumps(found, indent=1) if args.json else "\n\n".join(_entry(*item) for item in found.items()))
    return 0


def _entry(name: str, method: dict[str, Any]) -> str:
    budget = "any, exact" if method["takes_budget"] else "follows from the backbone"
    return "\n".join(
        [
            name,
            f"  reference  {method['reference']}",
            f"  operation  {', '.join(method['operations']) or 'none'}",
            f"  formula    {method['formula']}",
            f"  structure  {method['structure']}",
            f"  budget     {budget}",
            *(["  options"] if method["option_details"] else ["  options    none"]),
            *(_option(*item) for item in method["option_details"].items()),
        ]
    )


def _option(name: str, option: dict[str, Any]) -> str:
    return f"    {name:<11}{option['description']}\n{'':<15}{option['type']}; default {json.dumps(option['default'])}"
