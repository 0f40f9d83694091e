"""Synthetic studies with a known truth: a plan.json and the tree of records that a real study would write.

Scores come from a `Truth`; everything else (counts, speeds, hashes) is filled with plain numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petscale.cells.record import CellResult
from petscale.study.config.analysis import AnalysisSettings

PETS = ("prompt", "bitfit", "lora", "adapter")
APETS = ("apet-adjacent", "apet-discrete")
MATCHED = {"prompt": 800, "bitfit": 1_500, "lora": 3_000, "adapter": 9_000}
BUDGETS = (4, 16, 64, 256, 1_024, 4_096, 16_384)
TASKS = (
    ("reviews", "sentiment", 2),
    ("films", "sentiment", 2),
    ("entails", "inference", 2),
    ("implies", "inference", 2),
    ("facts", "qa", None),
)
EVALUATE_EVERY = 25
STEPS = 500


@dataclass
class Truth:
    """True scores in points, and how much seeds scatter."""

    full: float = 90.0
    offsets: dict[str, tuple[float, ...]] = field(default_factory=dict)  # method -> offset to full by scale
    apet_offset: tuple[float, ...] = (-1.0, -0.5, 0.0)
    baseline: float = 2.0
    low: Callable[[int], float] = lambda scale: 32.0  # budget where the rise begins, by scale
    high: Callable[[int], float] = lambda scale: 512.0  # budget where full is reached
    factors: dict[str, float] = field(default_factory=dict)  # method or task -> factor on both thresholds
    jump: float = 0.85  # share of full at one grid step past the low threshold
    speed: dict[str, float] = field(default_factory=lambda: {"adjacent": 100.0, "discrete": 200.0})  # steps
    within: float = 0.9  # transfer above chance, of the target's own
    across: tuple[float, ...] = (0.1, 0.1, 0.1)
    sd: float = 0.5
    speed_sd: float = 0.0  # of the log of the speed of a run

    def score(self, cell: dict[str, Any]) -> float:
        scale = cell["scale"]
        if cell["control"]:
            return 50.0 if cell["kind"] != "qa" else 5.0
        if cell["method"] == "frozen":
            return self.baseline
        if cell["method"] == "full":
            return self.full
        if "threshold" in cell["experiments"]:
            factor = self.factors.get(cell["method"], 1.0) * self.factors.get(cell["task"], 1.0)
            return self.swept(cell["budget"] / factor, scale)
        if cell["structure"]:
            return self.full + self.apet_offset[scale]
        return self.full + self.offsets.get(cell["method"], (0.0,) * 5)[scale]

    def swept(self, budget: float, scale: int) -> float:
        """Flat, a jump within one factor of four, then a slope up to full."""
        low, high = math.log(self.low(scale)), math.log(self.high(scale))
        x, after = math.log(budget), math.log(self.low(scale)) + math.log(4)
        top = self.full * self.jump
        if x <= low:
            return self.baseline
        if x <= after:
            return self.baseline + (top - self.baseline) * (x - low) / (after - low)
        return min(self.full, top + (self.full - top) * (x - after) / max(high - after, 1e-9))


@dataclass
class Design:
    """Which grid to write."""

    ladders: tuple[tuple[str, str], ...] = (("mini-t5", "t5"),)
    scales: int = 3
    seeds: tuple[int, ...] = (1, 2, 3)
    tasks: tuple[tuple[str, str, int | None], ...] = TASKS
    threshold_tasks: int = 2
    settings: AnalysisSettings = field(default_factory=AnalysisSettings)
    names: dict[tuple[str, int], str] = field(default_factory=dict)  # other names for backbones


def write_study(
    root: Path,
    design: Design,
    truth: Truth,
    *,
    fate: Callable[[dict[str, Any]], str] = lambda cell: "done",
    noise: int = 0,
) -> Path:
    """Write `root/<study>/plan.json` and the results below `root`.

    Args:
        root: the results folder.
        design: the grid.
        truth: true scores.
        fate: from a planned cell to done, diverged or missing.
        noise: seed of the scatter over seeds.

    Returns:
        The plan's path.
    """
    plan = make_plan(design)
    kinds = {name: kind for name, kind, _ in design.tasks}
    alive = set()
    for cell in plan["cells"]:
        state = fate(cell)
        if state == "missing":
            continue
        _write_cell(root, cell, truth, state, noise)
        if state == "done":
            alive.add(cell["cell"])
    scales = {cell["cell"]: cell for cell in plan["cells"]}
    for transfer in plan["transfers"]:
        if transfer["source"] in alive:
            _write_transfer(root, transfer, scales[transfer["source"]], kinds, truth, noise)
    path = root / plan["study"] / "plan.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plan))
    return path


def make_plan(design: Design) -> dict[str, Any]:
    """The plan document of a design: all five experiments and the control."""
    cells: dict[str, dict[str, Any]] = {}
    transfers = []
    ladders = []
    for ladder, family in design.ladders:
        rungs = []
        for scale in range(design.scales):
            name = design.names.get((ladder, scale), f"{ladder}-{'small base large huge'.split()[scale]}")
            rungs.append({"name": name, "parameters": 10 ** (5 + scale), "scale": scale, "display": name})
            place = {"backbone": name, "ladder": ladder, "scale": scale}
            tasks = [task for task in design.tasks if family == "t5" or task[2]]
            for index, task in enumerate(tasks):
                for seed in design.seeds:
                    where = {**place, "task": task[0], "kind": task[1], "seed": seed}
                    for cell in _cells_of(where, family, swept=index < design.threshold_tasks):
                        known = cells.setdefault(cell["cell"], cell)
                        for key in ("experiments", "matches"):
                            known[key] = list(dict.fromkeys([*known[key], *cell[key]]))
                        known["match"] = known["matches"][0] if known["matches"] else None
                        if "transfer" in cell["experiments"]:
                            transfers += [
                                {
                                    "source": cell["cell"],
                                    "target": target[0],
                                    "path": f"transfer/{cell['cell']}/{target[0]}.json",
                                }
                                for target in tasks
                                if target[0] != task[0]
                            ]
        ladders.append({"name": ladder, "family": family, "backbones": rungs})
    return {
        "study": "synthetic",
        "description": "A study with known truths.",
        "digest": "0" * 12,
        "settings": design.settings.model_dump(mode="json"),
        "ladders": ladders,
        "tasks": [
            {"name": n, "kind": k, "metric": "accuracy" if c else "f1", "classes": c, "version": 1}
            for n, k, c in design.tasks
        ],
        "cells": list(cells.values()),
        "transfers": transfers,
        "provenance": {"commit": "0" * 40, "command": "synthetic"},
    }


def _cells_of(where: dict[str, Any], family: str, *, swept: bool) -> list[dict[str, Any]]:
    head = "trained" if family == "bert" else None
    made = [_cell(where, "full", ["methods", "structure"], head=head)]
    made += [
        _cell(
            where,
            method,
            ["methods", "structure", *(["control"] if method == "lora" else [])],
            matches=[method],
            head=head,
        )
        for method in PETS
    ]
    for group in PETS:
        for method in APETS:
            asked = ["structure", *(["convergence"] if group == "lora" else [])]
            made.append(_cell(where, method, asked, budget=MATCHED[group], matches=[group], head=head))
    made.append(_cell(where, "frozen", ["convergence"], head=head))
    random_backbone = {**where, "backbone": where["backbone"] + "-random"}
    made.append(_cell(random_backbone, "lora", ["control"], head=head, control=True))
    if where["kind"] != "qa" or family == "t5":
        labels = "unified" if where["kind"] != "qa" else "words"
        for method in APETS:
            budget = MATCHED["lora"]
            made.append(
                _cell(where, method, ["transfer"], budget=budget, matches=["lora"], head=head, labels=labels, tag="u")
            )
    if swept:
        frozen_head = "frozen" if family == "bert" else None
        made += [_cell(where, method, ["threshold"], head=frozen_head, tag="t") for method in ("full", "frozen")]
        made += [
            _cell(where, method, ["threshold"], budget=budget, head=frozen_head, tag="t", rate=rate)
            for method in APETS
            for budget in BUDGETS
            for rate in (1e-3, 1e-2)
        ]
    return made


def _cell(
    where: dict[str, Any],
    method: str,
    experiments: list[str],
    *,
    budget: int | None = None,
    matches: list[str] | None = None,
    head: str | None = None,
    labels: str = "words",
    control: bool = False,
    rate: float = 1e-3,
    tag: str = "",
) -> dict[str, Any]:
    structure = method.removeprefix("apet-") if method in APETS else None
    identity = [where, method, budget, labels, head, rate, tag]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    named = method if budget is None else f"{method}-{budget}"
    return {
        "cell": f"{where['backbone'].replace('/', '--')}/{where['task']}/{named}/seed{where['seed']}-{digest}",
        "digest": digest,
        **where,
        "method": method,
        "structure": structure,
        "budget": budget,
        "match": matches[0] if matches and structure else None,
        "matches": list(matches or []) if structure else [],
        "mask_seed": where["seed"] if budget else None,
        "learning_rate": rate,
        "labels": labels,
        "head": head,
        "control": control,
        "trainable": budget or MATCHED.get(method, 0),
        "total": 10 ** (5 + where["scale"]),
        "experiments": experiments,
    }


def _generator(*parts: Any) -> random.Random:
    return random.Random("|".join(map(str, parts)))


def _write_cell(root: Path, cell: dict[str, Any], truth: Truth, state: str, noise: int) -> None:
    scatter = _generator(noise, cell["cell"])
    # The second rate of a sweep is worse everywhere; choosing on dev must find the first.
    penalty = 15.0 if cell["learning_rate"] == 1e-2 and "threshold" in cell["experiments"] else 0.0
    points = truth.score(cell) - penalty + scatter.gauss(0, truth.sd)
    share = min(max(points, 0.0), 100.0) / 100
    dev = min(max(points + scatter.gauss(0, truth.sd / 2), 0.0), 100.0) / 100
    metric = "accuracy" if cell["kind"] != "qa" else "f1"
    test: dict[str, Any] = {metric: {"value": share, "se": math.sqrt(share * (1 - share) / 500), "n": 500}}
    if metric == "accuracy":
        test["rank_accuracy"] = {"value": max(share, 0.5), "se": 0.02, "n": 500}
    else:
        test["em"] = {"value": 0.8 * share, "se": 0.02, "n": 500}
    if cell["kind"] == "inference":  # a further test set, as MNLI has one
        test["mismatched/accuracy"] = {"value": 0.9 * share, "se": 0.01, "n": 600}
    diverged = state == "diverged"
    size = 1 + cell["scale"]
    result = CellResult.model_validate(
        {
            "cell": cell["cell"],
            "digest": cell["digest"],
            "status": state,
            "cause": "loss is NaN at step 120" if diverged else None,
            "spec": {"task": cell["task"]},
            "counts": {
                "trainable": cell["trainable"],
                "effective": cell["trainable"],
                "head": 130 if cell["head"] == "trained" else 0,
                "stored": cell["trainable"],
                "changed": cell["trainable"],
                "total": 10 ** (5 + cell["scale"]),
            },
            "metric": metric,
            "dev": {metric: {"value": dev, "se": 0.01, "n": 200}},
            "test": {} if diverged else test,
            "convergence": {"best_step": STEPS, "best_dev": dev, "steps": STEPS},
            "throughput": {
                "train_tokens_per_s": 9_000 / size,
                "inference_tokens_per_s": 30_000 / size,
                "startup_s": 1.0,
                "train_s": 10.0 * size,
                "evaluate_s": 2.0 * size,
                "wall_s": 14.0 * size,
            },
            "peak_memory": size * 10**8,
            "energy_j": None,
            "hashes": {"data": "d" * 12, "code": "c" * 12, "backbone": "b" * 12},
            "provenance": {},
        }
    )
    folder = root / "cells" / cell["cell"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(result.model_dump_json())  # thousands of them: no fsync
    (folder / "curve.csv").write_text(_curve(cell, truth, dev, scatter))


def _curve(cell: dict[str, Any], truth: Truth, dev: float, scatter: random.Random) -> str:
    rows = ["step,tokens,train_loss,dev,learning_rate,seconds"]
    base = truth.baseline / 100
    reach = truth.speed.get(cell["structure"] or "", 150.0) * math.exp(scatter.gauss(0, truth.speed_sd))
    for step in range(0, STEPS + 1, EVALUATE_EVERY):
        value = dev if step >= reach else base + (dev - base) * 0.8 * step / reach
        value = min(max(value + scatter.gauss(0, truth.sd / 400), 0.0), 1.0)
        rows.append(f"{step},{step * 32},{1 / (1 + step):.4f},{value:.6f},0.001,{step / 50:.2f}")
    return "\n".join(rows) + "\n"


def _write_transfer(
    root: Path, transfer: dict[str, Any], source: dict[str, Any], kinds: dict[str, str], truth: Truth, noise: int
) -> None:
    target, kind = transfer["target"], kinds[transfer["target"]]
    share = truth.within if kind == source["kind"] else truth.across[source["scale"]]
    chance = 0.0 if kind == "qa" else 50.0
    own = truth.full + truth.apet_offset[source["scale"]]
    points = chance + share * (own - chance) + _generator(noise, transfer["path"]).gauss(0, truth.sd)
    metric = "f1" if kind == "qa" else "accuracy"
    score = {"value": min(max(points, 0.0), 100.0) / 100, "se": 0.02, "n": 500}
    scores = {metric: score} if kind == "qa" else {metric: score, "rank_accuracy": score}
    document = {"source": source["cell"], "target": target, "metric": metric, "status": "done", "scores": scores}
    path = root / transfer["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
