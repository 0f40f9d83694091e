"""`petscale compare`: shows the differences between two studies, with intervals."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale compare`."""
    parser = subparsers.add_parser("compare", help="what differs between two studies")
    parser.add_argument("a", type=Path, help="results/<study> of the first study")
    parser.add_argument("b", type=Path, help="results/<study> of the second, of this or another checkout")
    parser.add_argument("--results-a", type=Path, help="folder with the first study's cells/ (default: beside it)")
    parser.add_argument("--results-b", type=Path, help="folder with the second study's cells/ (default: beside it)")
    parser.add_argument("--all", action="store_true", help="list what did not change too")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Print what differs between two studies, with intervals; return the exit code."""
    from petscale.analysis import compare

    a = compare.Side.read(args.a, args.results_a)
    b = compare.Side.read(args.b, args.results_b)
    print(f"a: {args.a} ({a.plan['study']}), b: {args.b} ({b.plan['study']}); differences are b minus a")
    _print_cells(compare.compare_cells(a, b))
    _print_changes("mean scores, points", compare.compare_scores(a, b), ("backbone", "method", "budget"), args.all)
    thresholds = compare.compare_thresholds(a, b)
    _print_changes("thresholds, log10 of a factor", thresholds, ("backbone", "task", "method", "threshold"), args.all)
    _print_claims(compare.compare_claims(a, b))
    return 0


def _print_cells(changed: Any) -> None:
    print(f"\ncells: {len(changed)} differ in status")
    for (before, after), part in changed.groupby(["a", "b"]):
        print(f"  {before} -> {after}: {len(part)}, e.g. {part['cell'].iloc[0]}")


def _print_changes(title: str, table: Any, place: tuple[str, ...], everything: bool) -> None:
    if table.empty:
        print(f"\n{title}: nothing that both studies have")
        return
    counts = ", ".join(f"{count} {outcome}" for outcome, count in table["outcome"].value_counts().items())
    compared = int(table["outcome"].isin(["changed", "no change shown"]).sum())
    print(f"\n{title}: {counts}" + (f"; chance alone changes about {0.05 * compared:.0f}" if compared else ""))
    for row in table.to_dict("records"):
        if everything or row["outcome"] == "changed":
            named = " ".join(_word(row[key]) for key in place if row[key] != "")
            interval = "no interval" if row["low"] != row["low"] else f"[{row['low']:+.2f}, {row['high']:+.2f}]"
            print(f"  {named}: {row['a']:.2f} -> {row['b']:.2f}, {row['difference']:+.2f} {interval} {row['outcome']}")


def _print_claims(changed: Any) -> None:
    from petscale.analysis.wording import interval_text, value_text

    print(f"\nverdicts: {len(changed)} differ")
    for row in changed.to_dict("records"):
        sides = []
        for side in ("a", "b"):
            value, low, high = (row[f"{part}_{side}"] for part in ("value", "low", "high"))
            shown = f"{value_text(value)} [{interval_text(low, high)}]"
            sides.append(f"{row[f'verdict_{side}']} ({shown})")
        print(f"  {row['ladder']}, {row['reading']}: {row['claim']}: {sides[0]} -> {sides[1]}")


def _word(value: Any) -> str:
    return f"{value:.0f}" if isinstance(value, float) else str(value)
