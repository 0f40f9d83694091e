"""How often intervals contain the truth, and how often claims are supported that are false.

    python benchmarks/coverage.py [--draws 300] [--part coverage|placebos|lialin|power]
                                  [--study config.yaml --seed-sd 1.5]

Coverage is that of nominal 95 % intervals, on truths whose corners and thresholds do not sit on the swept grid.
Placebos draw results of a plan with nothing to find and decide its claims with the code that decides real ones;
`supported` should stand in at most 5 % of the draws. The plan is a small one, or that of a study file; the claims on
the methods of Lialin et al. (part `lialin`) have a small plan of their own. Seeds are fixed, so the same version prints
the same tables.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from petscale.analysis import gaps
from petscale.analysis.claims.table import TESTS
from petscale.analysis.convergence import pairs_table, runs_table, time_ratio
from petscale.analysis.interval import Estimate, mean_over_tasks
from petscale.analysis.readings import KNOWLEDGE, PUBLISHED
from petscale.analysis.simulate import Mixed, Simulator, World, of_the_paper, quick, shares
from petscale.analysis.sweep import Sweep, fit_sweep
from petscale.study.config.analysis import AnalysisSettings, ClaimId
from petscale.workspace.grid import open_grid
from petscale.workspace.plan import plan_document
from petscale.workspace.study_file import parse_study

PARTS = ["coverage", "placebos", "lialin", "power"]
FROZEN, FULL, RISE, MARGIN = 2.0, 90.0, 5.0, 3.0
TASKS = ["mini-sentiment", "mini-opinion", "mini-inference", "mini-qa"]
STUDY: dict[str, Any] = {
    "name": "coverage",
    "ladders": [{"name": "mini-t5", "backbones": ["mini-t5-small", "mini-t5-large"]}],
    "tasks": TASKS,
    "data": {"source": "mini"},
    "seeds": [1, 2, 3, 4, 5],
    "method_options": {"prompt": {"tokens": 8}, "lora": {"rank": 2, "alpha": 4}},
    "recipe": {"steps": 300, "evaluate_every": 10},
    "experiments": {
        "methods": {"methods": ["full", "prompt", "bitfit", "lora"], "tasks": [TASKS[0], TASKS[2], TASKS[3]]},
        "structure": {"groups": ["lora"], "tasks": [TASKS[0], TASKS[2], TASKS[3]]},
        "convergence": {"match": ["lora"], "tasks": [TASKS[0], TASKS[2], TASKS[3]]},
        "threshold": {"tasks": [TASKS[0], TASKS[2]], "budgets": [64, 128, 256, 512, 1024, 2048, 4096]},
        "transfer": {"tasks": TASKS[:3], "structures": ["apet-discrete"]},
    },
}


# Coverage ------------------------------------------------------------------------------------------------


def logistic(middle: float, width: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: FROZEN + (FULL - FROZEN) / (1 + np.exp(-(x - middle) / width))


CURVES = {
    "logistic, 0.12 decades": logistic(2.61, 0.12),
    "logistic, 0.2 decades": logistic(2.13, 0.2),
    "logistic, 0.27 decades": logistic(2.37, 0.27),
    "step": lambda x: np.where(x < 2.2, FROZEN, FULL),
    "plateau": lambda x: FROZEN + (FULL - FROZEN) * (0.5 * (x >= 1.47) + 0.5 * (x >= 3.3)),
}
GRIDS = {"x4": 4.0 ** np.arange(1, 8), "x2": 2.0 ** np.arange(2, 15)}


def of_thresholds(draws: int) -> list[tuple[str, float]]:
    """Low and high thresholds of swept grids."""
    rows = []
    for name, curve in CURVES.items():
        fine = np.linspace(0, 6, 60_001)
        truth = [float(fine[np.argmax(curve(fine) >= level)]) for level in (FROZEN + RISE, FULL - MARGIN)]
        for grid, budgets in GRIDS.items():
            for seeds in (3, 5):
                generator = np.random.default_rng(0)
                mean = curve(np.log10(budgets))
                inside = np.zeros(2)
                for _ in range(draws):
                    sd = 2.0 * np.where((mean > 10) & (mean < 80), 1.5, 0.5)[:, None]
                    noise = sd * (0.6 * generator.normal(size=seeds) + 0.8 * generator.normal(size=(len(mean), seeds)))
                    ends = 0.3 * generator.normal(size=(2, seeds))
                    sweep = Sweep(budgets, mean[:, None] + noise, FROZEN + ends[0], FULL + ends[1])
                    fit = fit_sweep(sweep, 200, generator)
                    found = (fit.low_threshold(RISE).estimate(0.95), fit.high_threshold(MARGIN).estimate(0.95))
                    inside += [one.low <= at <= one.high for one, at in zip(found, truth, strict=True)]
                rows += [
                    (f"{which} threshold, {name}, grid {grid}, {seeds} seeds", share)
                    for which, share in zip(("low", "high"), inside / draws, strict=True)
                ]
    return rows


def pairs_of(
    generator: np.random.Generator, reach: float, ratio: float, seeds: int, every: int, unlearnt: float
) -> pd.DataFrame:
    """Pairs of runs of 150 steps that rise exponentially; a share of the runs never rises."""
    step = np.arange(0, 150 + every, every, dtype=float)
    cells, curves = [], []
    common = {"ladder": "l", "backbone": "b", "scale": 0, "display": "b", "kind": "k", "head": None, "budget": 8.0,
              "status": "done", "matches": ("lora",), "experiments": ("convergence",), "control": False,
              "chance": 2.0, "floor": 2.0, "dev": np.nan}  # fmt: skip
    for task in "abc":
        for seed in range(seeds):
            for structure, own in (("adjacent", reach), ("discrete", reach * ratio)):
                name, speed = f"{task}-{structure}-{seed}", own * math.exp(generator.normal(0, 0.15))
                top = 0.0 if generator.random() < unlearnt else 88.0
                dev = 2.0 + top * (1 - np.exp(-step / speed)) + generator.normal(0, 1.0, len(step))
                curves.append(pd.DataFrame({"cell": name, "step": step, "dev": dev}))
                cells.append({**common, "cell": name, "task": task, "method": structure, "structure": structure,
                              "seed": seed})  # fmt: skip
    return pairs_table(runs_table(pd.DataFrame(cells), pd.concat(curves), AnalysisSettings()))


def of_times(draws: int) -> list[tuple[str, float]]:
    """Ratios of times to a common target, of fast and slow runs and of runs that still rise at their end."""
    rows = []
    for name, reach in (("fast", 15.0), ("slow", 60.0), ("still rising", 120.0)):
        for ratio in (1.0, 1.5):
            for unlearnt in (0.0, 0.1):
                generator, truth = np.random.default_rng(1), math.log2(ratio)
                found = [time_ratio(pairs_of(generator, reach, ratio, 5, 5, unlearnt), 0.95) for _ in range(draws)]
                inside, value = _inside(found, truth), float(np.nanmean([one.value for one in found]))
                censored = ", a tenth of the runs never rises" if unlearnt else ""
                rows.append((f"log2 ratio of times {truth:.2f}, {name} runs{censored} (mean {value:.2f})", inside))
    return rows


def of_scores(draws: int) -> list[tuple[str, float]]:
    """Paired differences and the change of the variance between methods."""
    rows = []
    for seeds in (3, 5):
        generator = np.random.default_rng(2)
        found = [
            mean_over_tasks(1.5 + generator.normal(0, 2.0, (3, seeds)) + generator.normal(0, 1.0, seeds))
            for _ in range(draws)
        ]
        rows.append((f"mean difference over 3 tasks, {seeds} seeds", _inside(found, 1.5)))
        for large in (4.0, 2.0, 0.5):
            sides = [np.array([-1.0, -0.33, 0.33, 1.0]) * sd for sd in (4.0, large)]
            truth = float(np.subtract(*[np.var(side, ddof=1) for side in sides]))
            found = []
            for _ in range(draws):
                cubes = [side[:, None, None] + generator.normal(0, 3.0, (4, 3, seeds)) for side in sides]
                found.append(gaps.shrinkage(cubes[:1], cubes[1:], 0.95))
            rows.append((f"variance between methods, sd factor {large / 4:g}, {seeds} seeds", _inside(found, truth)))
    return rows


def _inside(found: Sequence[Estimate], truth: float) -> float:
    known = [one for one in found if one.bounded]
    return float(np.mean([one.low <= truth <= one.high for one in known]))


# Placebos ------------------------------------------------------------------------------------------------


def logistic_share(crossing: float, level: float) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Logistic curves of 0.1 decades on the smallest and 0.33 on the largest backbone that reach a level together."""

    def curve(x: np.ndarray, position: np.ndarray, place: np.ndarray) -> np.ndarray:
        width = 0.1 + 0.23 * position
        return 1 / (1 + np.exp(-(x - crossing) / width) * (1 / level - 1))

    return curve


def apart(factor: float) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Steps whose thresholds lie a factor apart between the first and the last method."""
    return lambda x, position, place: np.where(x < 2.2 + math.log10(factor) * place, 0.0, 1.0)


# By knowledge of two classes, 5 points above chance are a ninth of the way to full, and 3 below full 14/15 of it.
LOW, HIGH = 5.0 / 45.0, 42.0 / 45.0
REAL = World(gap=(12.0, 4.0), low=(150.0, 700.0), high=(4_000.0, 1_500.0))
PLACEBOS: dict[str, tuple[World, Mixed, tuple[str, ...]]] = {
    "(a) constant scores": (REAL, Mixed(constant=0.0), ()),
    "(a) constant zero-shot scores": (REAL, Mixed(guessing=True), ("transfer-type", "transfer-scale")),
    "(b) scales permuted": (
        REAL,
        Mixed(scales=True),
        ("gap-shrinks", "structure-less", "high-falls", "low-rises"),
    ),
    "(c) methods permuted": (
        REAL,
        Mixed(methods=True),
        ("gap-shrinks", "structure-less", "speed-differs", "adjacent-faster"),
    ),
    "(d) equal low thresholds": (World(curve=logistic_share(2.53, LOW)), Mixed(), ("low-rises",)),
    "(d) equal high thresholds": (World(curve=logistic_share(2.83, HIGH)), Mixed(), ("high-falls",)),
    "at the margin": (
        World(
            gap=(3.0, 3.0),  # the worst method lies 1.5 points below full on two tasks with labels, 3 on free text
            curve=apart(3.0),
            within=0.3,
            across=(0.2, 0.3),
            speed={"adjacent": 0.4, "discrete": 0.5},
        ),
        Mixed(),
        ("reach-full", "low-equal-methods", "transfer-type", "transfer-scale", "speed-differs", "adjacent-faster"),
    ),
}


NEEDS = {
    "gap-shrinks": "methods",
    "reach-full": "methods",
    "structure-less": "structure",
    "speed-differs": "convergence",
    "adjacent-faster": "convergence",
    "transfer-type": "transfer",
    "transfer-scale": "transfer",
}


def plan_of(study: Mapping[str, Any], claims: Sequence[str]) -> dict[str, Any]:
    """The plan of a study, or of those of its experiments that some claims need."""
    wanted = {NEEDS.get(claim, "threshold") for claim in claims}
    experiments = {name: asked for name, asked in study["experiments"].items() if name in wanted or not wanted}
    if wanted & {"convergence", "structure"}:
        experiments["methods"] = {**study["experiments"]["methods"], "methods": ["full", "lora"]} | (
            study["experiments"]["methods"] if "methods" in wanted else {}
        )
    return plan_document(open_grid(parse_study({**study, "experiments": experiments}, "coverage")))


# The claims of Lialin et al. -----------------------------------------------------------------------------

SCALED = {"learns": "factor"}
FINE, COARSE = {"precision": "bfloat16"}, {"precision": "bfloat16", "masters": "bfloat16"}
COMPARED = [
    "houlsby", "pfeiffer", "prefix", "prefix-shifted", "prefix-flat", "prefix-flat-shifted", "ia3-float32",
    "ia3-bfloat16", "parallel-float32", "parallel-bfloat16", "parallel-adapter", "ia3", "ln-tuning", "lora-qv",
    "lora-all", "lokr", "compacter", "compacter-plus", "mam", "unipelt",
]  # fmt: skip
LIALIN: dict[str, Any] = {
    "name": "coverage-lialin",
    "ladders": [{"name": "mini-t5", "backbones": ["mini-t5-small", "mini-t5-large"]}],
    "tasks": [TASKS[0], TASKS[3]],
    "data": {"source": "mini"},
    "seeds": [1, 2, 3, 4, 5],
    "variants": {
        "prefix-shifted": {"method": "prefix", "options": {"positions": "shifted"}},
        "prefix-flat-shifted": {"method": "prefix-flat", "options": {"positions": "shifted"}},
        "ia3-float32": {"method": "ia3", "options": SCALED, "recipe": FINE},
        "ia3-bfloat16": {"method": "ia3", "options": SCALED, "recipe": COARSE},
        "parallel-float32": {"method": "parallel-adapter", "options": SCALED, "recipe": FINE},
        "parallel-bfloat16": {"method": "parallel-adapter", "options": SCALED, "recipe": COARSE},
    },
    "experiments": {
        "methods": {"methods": ["full", *COMPARED], "rates": [0.001, 0.01]},
        "efficiency": {"methods": ["full", *COMPARED], "tasks": [TASKS[3]]},
    },
}
OF_LIALIN: tuple[Any, ...] = tuple(claim.id for claim, _ in TESTS if claim.about)
SPREAD = {name: 0.3 + 0.03 * place for place, name in enumerate(COMPARED)}


def step(points: float, places: int = 1) -> tuple[float, float]:
    """The gap with which methods that lie evenly below full, in the order of COMPARED, differ by points in places."""
    gap = points * (len(COMPARED) - 1) / places
    return gap, gap


LIALIN_PLACEBOS: dict[str, tuple[World, Mixed, tuple[ClaimId, ...]]] = {
    # Where all costs are equal, Kronecker factors save no memory, so that claim is true.
    "(a) constant scores, losses and costs": (
        World(),
        Mixed(constant=0.0),
        tuple(claim for claim in OF_LIALIN if claim != "kronecker-memory"),
    ),
    "(c) methods permuted": (World(gap=(12.0, 12.0), memory_of=SPREAD), Mixed(methods=True), OF_LIALIN),
    # The first ten methods of COMPARED are the pairs of the claims on scores, one next to the other.
    "at the margin": (
        World(
            gap=step(2.0),
            train=(0.95, 0.95),
            inference=0.95,
            memory_of={"lokr": 0.95 * 0.6, "compacter": 0.95 * 0.6},
            loss_of={"mam": 12.0, "unipelt": 12.0},
        ),
        Mixed(),
        tuple(claim for claim in OF_LIALIN if claim not in ("adapters-lora-reach", "norms-competitive")),
    ),
    "lora-all at the margin": (World(gap=step(2.0, COMPARED.index("lora-all"))), Mixed(), ("adapters-lora-reach",)),
    "ln-tuning at the margin": (World(gap=step(3.0, COMPARED.index("ln-tuning"))), Mixed(), ("norms-competitive",)),
}


def of_lialin(seed_sd: float, draws: int) -> pd.DataFrame:
    """As `of_placebos`, for the claims on the methods of Lialin et al. and on the faults behind their tables."""
    plan = plan_document(open_grid(parse_study(LIALIN, "coverage")))
    columns = {}
    for number, (name, (world, mixed, false)) in enumerate(LIALIN_PLACEBOS.items()):
        simulator = Simulator(plan, quick(AnalysisSettings(claims=false)))
        world, generator = replace(world, seed_sd=seed_sd), np.random.default_rng(number)
        found = shares([simulator.claims(world, generator, mixed) for _ in range(draws)])
        columns[name] = found.groupby("id", sort=False)["supported"].max()
        print(f"  {name}: at most {columns[name].max():.3f} ({columns[name].idxmax()})", flush=True)
    return pd.DataFrame(columns).reindex(OF_LIALIN)


def of_placebos(study: Mapping[str, Any], seed_sd: float, draws: int) -> pd.DataFrame:
    """Shares of draws in which a false claim is supported, the larger one of both readings; NaN where it is true."""
    columns = {}
    for number, (name, (world, mixed, false)) in enumerate(PLACEBOS.items()):
        simulator = Simulator(plan_of(study, false), quick(AnalysisSettings()))
        world = replace(world, seed_sd=seed_sd)
        generator = np.random.default_rng(number)
        found = shares([simulator.claims(world, generator, mixed) for _ in range(draws)])
        largest = found.groupby("id", sort=False)["supported"].max()
        columns[name] = largest[largest.index.isin(false)] if false else largest
        worst = columns[name].max()
        print(f"  {name}: at most {worst:.3f} ({columns[name].idxmax()})", flush=True)
    return pd.DataFrame(columns).reindex(found["id"].drop_duplicates())


def of_power(study: Mapping[str, Any], seed_sd: float, draws: int) -> pd.DataFrame:
    """How often the same plan decides each claim if the truth is as the paper says, by knowledge."""
    document = plan_of(study, ())
    simulator, generator = Simulator(document, quick(AnalysisSettings())), np.random.default_rng(9)
    world = of_the_paper(document, seed_sd)
    found = shares([simulator.claims(world, generator) for _ in range(draws)])
    return found[found["reading"].isin([KNOWLEDGE, PUBLISHED])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--study", type=Path, help="study file whose plan placebos and power use")
    parser.add_argument("--seed-sd", type=float, default=2.0, help="scatter of a cell over seeds, points (default: 2)")
    args = parser.parse_args()
    study = yaml.safe_load(args.study.read_text()) if args.study else STUDY
    parts, started = args.part or PARTS, time.time()
    if "coverage" in parts:
        print(f"coverage of nominal 95 % intervals, {args.draws} draws")
        for part in (of_scores, of_thresholds, of_times):
            for name, share in part(args.draws):
                print(f"  {share:5.3f}  {name}", flush=True)
    if "placebos" in parts:
        print(f"share of {args.draws} draws in which a claim is supported that is false (- where it is not false)")
        with pd.option_context("display.width", 250, "display.max_columns", 20):
            print(of_placebos(study, args.seed_sd, args.draws).to_string(float_format="%.3f", na_rep="-"))
    if "lialin" in parts:
        print(f"the same for the claims on the methods of Lialin et al., {args.draws} draws")
        with pd.option_context("display.width", 250, "display.max_columns", 20):
            print(of_lialin(args.seed_sd, args.draws).to_string(float_format="%.3f", na_rep="-"))
    if "power" in parts:
        print(
            f"verdicts in {args.draws} draws if effects are as the paper says, cells scatter by"
            f" {args.seed_sd:g} points over seeds"
        )
        print(of_power(study, args.seed_sd, args.draws).to_string(index=False, float_format="%.2f"))
    print(f"run time: {(time.time() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
