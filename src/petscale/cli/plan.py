"""`petscale plan`: shows what a study would run and cost, before it runs."""

from __future__ import annotations

import argparse
import json
from typing import Any

from petscale.cli.studies import add_study, opened

SEED_SD = 2.0
"""Assumed standard deviation of a cell's score over seeds, in points, where no pilot says otherwise."""


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale plan`."""
    parser = subparsers.add_parser("plan", help="cells, exact counts and estimated cost of a study")
    add_study(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object with `cells` and `totals`")
    parser.add_argument(
        "--power",
        type=int,
        default=0,
        metavar="DRAWS",
        help="simulate so many results with the paper's effects, and print how often each claim would be decided",
    )
    parser.add_argument(
        "--seed-sd",
        type=float,
        default=SEED_SD,
        metavar="POINTS",
        help="standard deviation of a cell's score over seeds, from a pilot; on tasks with labels that of the"
        " share of the way from guessing to 100 (default: %(default)g)",
    )
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Print the cells of a study with counts and estimated costs; return the exit code."""
    from petscale.workspace.grid import open_grid
    from petscale.workspace.plan import plan_document

    study = opened(args).load()
    grid = open_grid(study)
    _check_folders(study)
    document = plan_document(grid)
    if args.json:
        print(json.dumps(document, indent=1))
        return 0
    width = max((len(cell["cell"]) for cell in document["cells"]), default=4)
    print(
        f"{'cell':{width}}  {'trainable':>13}  {'percent':>9}  {'deployed':>13}  {'touched':>14}  {'rank':>6}"
        f"  {'head':>6}  {'time':>8}  experiments"
    )
    for cell in document["cells"]:
        percent = 100 * cell["trainable"] / cell["total"]
        print(
            f"{cell['cell']:{width}}  {cell['trainable']:>13,}  {percent:>8.4f}%  {cell['deployed']:>13,}"
            f"  {_whole(cell['touched'], 'by seed'):>14}  {_whole(cell['rank'], 'none'):>6}"
            f"  {cell['head_parameters']:>6,}"
            f"  {_duration(cell['estimate']['seconds']):>8}  {', '.join(cell['experiments'])}"
        )
    if document["searches"]:
        _print_searches(document["searches"])
    if document["measurements"]:
        _print_measurements(document["measurements"])
    print()
    head = f"{'backbone':40}  {'parameters':>14}  {'cells':>6}  {'hours':>9}  {'transfers':>9}  {'hours':>7}"
    print(f"{head}  {'memory':>9}  {'devices':>7}  {'disk':>10}")
    for row in document["totals"]:
        print(
            f"{row['backbone']:40}  {row['parameters']:>14,}  {row['cells']:>6}  {row['hours']:>9.2f}"
            f"  {row['transfers']:>9}  {row['transfer_hours']:>7.2f}"
            f"  {row['memory_gb']:>6.1f} GB  {row['devices']:>7}  {row['disk_gb']:>7.2f} GB"
        )
    needs = document["inputs"]
    print(
        f"inputs: backbones {needs['backbones_gb']:,.1f} GB, rows {needs['data_gb']:,.1f} GB,"
        f" tokens {needs['tokens_gb']:,.1f} GB, downloads and conversions included"
    )
    for row in document["totals"]:
        if not row["fits"]:
            print(
                f"\n{row['backbone']}: a cell needs about {row['memory_gb']:.0f} GB on each device, more than"
                " hardware.memory_gb; raise hardware.max_devices or set hardware.micro_batch"
            )
    hours = sum(row["hours"] + row["transfer_hours"] for row in document["totals"])
    disk = sum(row["disk_gb"] for row in document["totals"]) + sum(needs.values())
    print(
        f"\n{document['study']}: {len(document['cells'])} cells, {len(document['transfers'])} transfers,"
        f" about {hours:,.1f} device-hours and {disk:,.1f} GB (estimates; see docs/cost-model.md)"
    )
    if searches := document["searches"]:
        expected, most = (sum(each[f"{name}_hours"] for each in searches) for name in ("expected", "most"))
        cells = [sum(each[f"{name}_cells"] for each in searches) for name in ("expected", "most")]
        print(
            f"and {len(searches)} threshold searches: {cells[0]:,} to {cells[1]:,} cells more,"
            f" {expected:,.1f} to {most:,.1f} device-hours, {hours + most:,.1f} at most in all"
        )
    if searches := document["rate_searches"]:
        repeats, hours = (sum(each[key] for each in searches) for key in ("repeats", "repeat_hours"))
        print(
            f"and {len(searches)} searches for learning rates: {repeats:,} cells more at the best rates,"
            f" {hours:,.1f} device-hours"
        )
    if measurements := document["measurements"]:
        hours = sum(each["hours"] for each in measurements)
        print(
            f"and {len(measurements)} measurements of efficiency, one after the other, about {hours:,.2f} device-hours"
        )
    print(_resolution(study, args.seed_sd))
    print(_obstacles(document, study.analysis))
    if args.power > 0:
        print(_power(document, study.analysis, args.power, args.seed_sd))
    return 0


def _check_folders(study: Any) -> None:
    """Refuse a local backbone that no cell could load, once and before anything is submitted."""
    from petscale.backbones.check import check_backbone
    from petscale.errors import BadInput
    from petscale.workspace.grid import folder_of

    for name in study.folders:
        folder = folder_of(study, name)
        assert folder is not None
        try:
            check_backbone(folder)
        except BadInput as error:
            raise BadInput(f"{study.name}: folders.{name}: {error}") from None


def _obstacles(document: Any, settings: Any) -> str:
    """The claims that the design cannot decide, with the reason."""
    from petscale.analysis.claims import listed
    from petscale.analysis.obstacles import obstacles

    found = obstacles(document, settings)
    texts = {claim.id: claim.text for claim in listed(document, settings)}
    lines = [
        f"  {ladder}: {texts[claim]}: {why}"
        for ladder, claims in found.items()
        for claim, why in sorted(claims.items())
    ]
    total = len(texts) * len(found)
    head = f"claims: {total - len(lines)} of {total} (claims x ladders) can be decided"
    return "\n".join([head + ("; not measurable here:" if lines else ""), *lines])


def _power(document: Any, settings: Any, draws: int, seed_sd: float) -> str:
    """How often each claim would be decided, and supported, if the effect is as the paper says."""
    from petscale.analysis.readings import KNOWLEDGE
    from petscale.analysis.simulate import of_the_paper, power, quick

    found = power(document, quick(settings), of_the_paper(document, seed_sd), draws)
    found = found[(found["reading"] == KNOWLEDGE) & (found["not measurable here"] < 1)]
    lines = [
        f"  {row['supported'] + row['not supported']:>7.0%} {row['supported']:>10.0%}  {row['ladder']}: {row['claim']}"
        for row in found.to_dict("records")
    ]
    return "\n".join(
        [
            f"power: {draws} simulated studies with the paper's effects, cells scatter by {seed_sd:g} points",
            "  decided  supported  claim, by knowledge",
            *lines,
        ]
    )


def _resolution(study: Any, seed_sd: float) -> str:
    """A sentence on the smallest true difference of two methods that the study's seeds and test rows can detect."""
    from petscale.analysis.power import detectable_difference, of_examples

    methods = study.experiments.methods
    if methods is None:
        return "no experiment `methods`: nothing is said of what its seeds can detect"
    tasks, seeds = len(methods.tasks or study.tasks), len(methods.seeds or study.seeds)
    if seeds < 2:
        return "one seed gives no interval: no difference of methods can be told from noise"
    rows = study.data.max_test
    examples = of_examples(tasks, rows) if rows else 0.0
    found = detectable_difference(seeds, tasks, seed_sd, confidence=study.analysis.confidence, examples=examples)
    tested = f"{rows} test rows each" if rows else "test sets taken as given"
    return (
        f"{seeds} seeds, {tasks} tasks, {tested}: finds a true mean difference of two methods of {found:.1f} points "
        f"four times of five, if cells scatter by {seed_sd:g} points over seeds"
    )


def _print_searches(searches: list[dict[str, Any]]) -> None:
    """Range and cost of each search; its cells are not known yet."""
    width = max(len(each["search"]) for each in searches)
    print(f"\n{'search':{width}}  {'budgets':>20}  {'factor':>6}  {'cells':>9}  {'hours':>15}")
    for each in searches:
        print(
            f"{each['search']:{width}}  {each['smallest']:>6,} to {each['largest']:>10,}  {each['factor']:>6g}"
            f"  {each['expected_cells']:>3} to {each['most_cells']:>2}"
            f"  {each['expected_hours']:>5.2f} to {each['most_hours']:>5.2f}"
        )
    for each in searches:
        if not each["fits"]:
            print(
                f"{each['search']}: its largest budget needs about {each['memory_gb']:.0f} GB on a device, more than"
                " hardware.memory_gb; set experiments.threshold.search.largest"
            )


def _print_measurements(measurements: list[dict[str, Any]]) -> None:
    """Each measurement with its time, and those that one device is too small for."""
    width = max(len(each["measurement"]) for each in measurements)
    print(f"\n{'measurement':{width}}  {'trainable':>13}  {'time':>8}  {'memory':>9}")
    for each in measurements:
        print(
            f"{each['measurement']:{width}}  {each['trainable']:>13,}  {_duration(3600 * each['hours']):>8}"
            f"  {each['memory_gb']:>6.1f} GB"
        )
    for each in measurements:
        if not each["fits"]:
            print(
                f"{each['measurement']}: needs about {each['memory_gb']:.0f} GB, more than hardware.memory_gb, and is"
                " measured on one device; set hardware.micro_batch or leave the backbone out"
            )


def _whole(number: int | None, absent: str) -> str:
    return absent if number is None else f"{number:,}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
