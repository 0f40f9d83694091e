"""What a study cannot decide by its design: claims with the reason, known before any cell runs.

`petscale plan` prints them, and the claims table has the verdict "not measurable here" with the same reason.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from petscale.analysis.claims import listed
from petscale.analysis.claims.row import Claim
from petscale.analysis.means import REFERENCES, ordered
from petscale.analysis.study_plan import StudyPlan, with_sweeps
from petscale.analysis.variants import apart, ways_of
from petscale.study.config.analysis import AnalysisSettings

Cells = Sequence[Mapping[str, Any]]


def obstacles(plan: StudyPlan, settings: AnalysisSettings) -> dict[str, dict[str, str]]:
    """For each ladder the listed claims that no result of this plan could decide, each with the reason in one line."""
    given, plan = plan, with_sweeps(plan)
    kinds = {task["name"]: (task["kind"], bool(task.get("classes"))) for task in plan["tasks"]}
    targets = defaultdict(list)
    for transfer in plan["transfers"]:
        targets[transfer["source"]].append(transfer["target"])
    claims = listed(plan, settings)
    return {
        ladder["name"]: {
            **_of_ladder(plan, ladder, kinds, targets, settings, claims),
            **_of_costs(given, ladder, claims),
        }
        for ladder in plan["ladders"]
    }


def _of_ladder(
    plan: StudyPlan,
    ladder: Mapping[str, Any],
    kinds: Mapping[str, tuple[str, bool]],
    targets: Mapping[str, Sequence[str]],
    settings: AnalysisSettings,
    claims: Sequence[Claim],
) -> dict[str, str]:
    rungs = [rung["name"] for rung in sorted(ladder["backbones"], key=lambda rung: int(rung["scale"]))]
    cells = [cell for cell in plan["cells"] if cell["ladder"] == ladder["name"] and not cell.get("control")]
    asked = {
        name: [cell for cell in cells if name in cell["experiments"]]
        for name in ("methods", "structure", "convergence", "threshold", "transfer")
    }
    ends, largest = (rungs[0], rungs[-1]), rungs[-1]
    pets = [cell for cell in asked["methods"] if cell["method"] not in REFERENCES]
    swept = [cell for cell in asked["threshold"] if cell["method"] not in REFERENCES]
    sources = asked["transfer"]
    found = {
        "gap-shrinks": _scales(rungs)
        or _two(pets, "methods", "method", ends)
        or _enough(pets, ends, 3)
        or _full(cells, pets, ends),
        "reach-full": _two(pets, "methods", "method", [largest], 1)
        or _enough(pets, [largest], 2)
        or _full(cells, pets, [largest]),
        "structure-less": _scales(rungs)
        or _two(asked["structure"], "structure", "method", ends)
        or _enough(asked["structure"], ends, 3)
        or _full(cells, asked["structure"], ends),
        "high-falls": _scales(rungs) or _sweeps(cells, swept, ends),
        "low-rises": _scales(rungs) or _sweeps(cells, swept, ends),
        "jump": _sweeps(cells, swept, ()),
        "low-equal-methods": _sweeps(cells, swept, ())
        or _pairs(swept, "method", "task")
        or _resolution(swept, settings),
        "low-equal-tasks": _sweeps(cells, swept, ()) or _pairs(swept, "task", "method") or _resolution(swept, settings),
        "transfer-type": _both_types(sources, targets, kinds) or _enough(sources, (), 2),
        "transfer-scale": _scales(rungs)
        or _across(sources, targets, kinds)
        or _two(sources, "transfer", "task", ends)
        or _enough(sources, ends, 2),
    }
    structures = [cell for cell in asked["convergence"] if cell.get("structure")]
    for name in ("speed-differs", "adjacent-faster"):
        found[name] = (
            _two(structures, "convergence", "structure", [largest])
            or _enough(structures, [largest], 2)
            or _full(cells, structures, [largest])
        )
    for claim in claims:
        if claim.needs != "methods":
            continue
        own = [cell for cell in asked["methods"] if cell["method"] in claim.about]
        absent = [name for name in claim.about if name not in {cell["method"] for cell in own}]
        if claim.about:
            found[claim.id] = (
                (f"experiment methods lacks {', '.join(absent)}" if absent else "")
                or _in_one_key(plan, ladder["name"], claim)
                or _two(own, "methods", "method", rungs, 1)
                or _enough(own, rungs, 2)
                or _full(cells, own, rungs)
            )
    return {claim.id: why for claim in claims if (why := found.get(claim.id))}


def _of_costs(plan: StudyPlan, ladder: Mapping[str, Any], claims: Sequence[Claim]) -> dict[str, str]:
    """The claims on costs and on rates that a ladder cannot decide; `plan` still has its searches for rates."""
    rungs = [rung["name"] for rung in sorted(ladder["backbones"], key=lambda rung: int(rung["scale"]))]
    found = {}
    for claim in claims:
        if claim.needs == "efficiency":
            found[claim.id] = _measured(plan, claim, rungs)
        elif claim.needs == "rates":
            found[claim.id] = _tried(plan, claim, rungs)
    return {claim: why for claim, why in found.items() if why}


def _measured(plan: StudyPlan, claim: Claim, rungs: Sequence[str]) -> str:
    """Whether each method of a claim is measured on each of some backbones, twice at least."""
    measured = [each for each in plan.get("measurements", ()) if each["backbone"] in rungs]
    for backbone in rungs[:1] if claim.at == "smallest" else rungs:
        own = [each for each in measured if each["backbone"] == backbone]
        if absent := [name for name in claim.about if name not in {each["method"] for each in own}]:
            return f"experiment efficiency does not measure {', '.join(absent)} on {backbone}"
        repeats = {each["seed"] for each in own}
        if len(repeats) < 2:
            return f"an interval needs 2 repeats, and {backbone} has {len(repeats)}"
    return ""


def _tried(plan: StudyPlan, claim: Claim, rungs: Sequence[str]) -> str:
    """Whether the methods of a claim try rates on two pairs of backbone and task, the units of its interval."""
    tried = defaultdict(set)
    for search in plan.get("rate_searches", ()):
        if search["backbone"] in rungs:
            tried[search["backbone"], search["task"]].add(search["method"])
    units = [place for place, methods in tried.items() if methods.issuperset(claim.about)]
    if not units:
        return f"no backbone and task has tries of {', '.join(claim.about)}"
    return "" if len(units) > 1 else "an interval needs two pairs of backbone and task, and rates are tried on one"


def _in_one_key(plan: StudyPlan, ladder: str, claim: Claim) -> str:
    """Whether the names of each pair run the same method and differ in the key of the claim alone."""
    ways = ways_of(plan, ladder)
    for a, b in claim.pairs if claim.by else ():
        if ways[a][0] != ways[b][0] or set(apart(ways[a], ways[b])) != {claim.by}:
            return f"{a} and {b} are not the same method with another value of {claim.by} alone"
    return ""


def _scales(rungs: Sequence[str]) -> str:
    return "" if len(rungs) > 1 else "the ladder has one size"


def _two(cells: Cells, experiment: str, key: str, backbones: Iterable[str], least: int = 2) -> str:
    """Whether an experiment has enough values of a key on each of some backbones."""
    for backbone in backbones:
        own = {cell[key] for cell in cells if cell["backbone"] == backbone}
        if not own:
            return f"experiment {experiment} does not run on {backbone}"
        if len(own) < least:
            return f"experiment {experiment} has a single {key} on {backbone}"
    return ""


def _enough(cells: Cells, backbones: Sequence[str], least: int) -> str:
    for backbone in backbones or ordered(cell["backbone"] for cell in cells):
        seeds = {cell["seed"] for cell in cells if cell["backbone"] == backbone}
        if len(seeds) < least:
            return f"an interval needs {least} seeds, and {backbone} has {len(seeds)}"
    return ""


def _full(cells: Cells, asked: Cells, backbones: Iterable[str]) -> str:
    """Whether it can be told which tasks are learnt: full fine-tuning on at least one task on each backbone."""
    for backbone in backbones:
        own = {cell["task"] for cell in asked if cell["backbone"] == backbone}
        tuned = {cell["task"] for cell in cells if cell["backbone"] == backbone and cell["method"] == "full"}
        if not own & tuned:
            return f"without full fine-tuning on {backbone} nothing tells which tasks are learnt"
    return ""


def _sweeps(cells: Cells, swept: Cells, ends: Sequence[str]) -> str:
    if not swept:
        return "no budget is swept on this ladder"
    for backbone in ends or ordered(cell["backbone"] for cell in swept):
        own = [cell for cell in swept if cell["backbone"] == backbone]
        if not own:
            return f"experiment threshold does not run on {backbone}"
        if len({cell["budget"] for cell in own}) < 2:
            return f"a single budget is swept on {backbone}"
    return _enough(swept, ends, 2) or _full(cells, swept, ends)


def _pairs(swept: Cells, over: str, inner: str) -> str:
    """Whether two values of one key share a value of the other on every backbone."""
    for backbone in ordered(cell["backbone"] for cell in swept):
        shared = defaultdict(set)
        for cell in swept:
            if cell["backbone"] == backbone:
                shared[cell[inner]].add(cell[over])
        if max(map(len, shared.values())) < 2:
            return f"a single {over} is swept on {backbone}"
    return ""


def _resolution(swept: Cells, settings: AnalysisSettings) -> str:
    """Whether the budgets lie so far apart that no two thresholds could be shown to be about equal."""
    factor = settings.margins.threshold_factor
    budgets = sorted({cell["budget"] for cell in swept})
    steps = [later / earlier for earlier, later in pairwise(budgets)]
    # Each of two thresholds in one step is known up to the step, so their ratio is known up to it in either direction.
    if min(steps) < factor:
        return ""
    apart = _round(min(steps))
    return f"budgets lie a factor {apart} apart, so no two thresholds can be shown to lie within a factor {factor:g}"


def _both_types(sources: Cells, targets: Mapping[str, Sequence[str]], kinds: Mapping[str, tuple[str, bool]]) -> str:
    if not sources:
        return "no transfer on this ladder"
    for cell in sources:
        own = [kinds[target] for target in targets[cell["cell"]] if kinds[target][1] == kinds[cell["task"]][1]]
        same = {kind == cell["kind"] for kind, _ in own}
        if same == {True, False}:
            return ""
    return "no source has targets both of its own type and of another type"


def _across(sources: Cells, targets: Mapping[str, Sequence[str]], kinds: Mapping[str, tuple[str, bool]]) -> str:
    if not sources:
        return "no transfer on this ladder"
    for cell in sources:
        for target in targets[cell["cell"]]:
            kind, labels = kinds[target]
            if kind != cell["kind"] and labels == kinds[cell["task"]][1]:
                return ""
    return "no target is of another type than its source"


def _round(factor: float) -> str:
    return f"{factor:.{max(0, 1 - math.floor(math.log10(factor)))}f}".rstrip("0").rstrip(".")
