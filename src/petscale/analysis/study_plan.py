"""Reading of a study's plan.json, which lists the cells and the names that figures show for them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from petscale.errors import BadInput
from petscale.study.config.analysis import AnalysisSettings

StudyPlan = dict[str, Any]
"""The document of a plan.json, as `petscale.workspace.plan.plan_document` makes it."""

_NEEDED = ("study", "settings", "ladders", "tasks", "cells", "transfers")


def read_plan(path: Path) -> StudyPlan:
    """Read a plan.

    Raises:
        BadInput: the file is unreadable, is not JSON or lacks a section; the message names file and key.
    """
    try:
        plan = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not a readable study plan ({error})") from None
    if not isinstance(plan, dict):
        raise BadInput(f"{path}: not a study plan: the document is no object")
    for key in _NEEDED:
        if key not in plan:
            raise BadInput(f"{path}: key {key}: missing from the study plan")
    return plan


def with_sweeps(plan: StudyPlan) -> StudyPlan:
    """The plan with cells in place of each search, for what is said of a study before its cells run.

    A threshold search becomes a sweep. Its budgets lie as far apart as the search would resolve them, and each has all
    seeds of the search. Its other keys are those of full fine-tuning on the same backbone, task and seed. A search for
    a rate that has chosen no cell yet becomes cells at the first rate.
    """
    if not plan.get("searches") and not plan.get("rate_searches"):
        return plan
    searched = {search["search"] for search in plan.get("searches", ())}
    cells = [cell for cell in plan["cells"] if cell.get("search") not in searched]
    cells += _at_first_rate(plan)
    full = {
        (cell["backbone"], cell["task"], cell["seed"]): cell
        for cell in cells
        if cell["method"] == "full" and "threshold" in cell["experiments"]
    }
    for search in plan.get("searches", ()):
        steps = math.ceil(math.log(search["largest"] / search["smallest"]) / math.log(search["factor"]))
        spread = (round(search["smallest"] * search["factor"] ** step) for step in range(steps))
        own = {key: search[key] for key in ("method", "structure", "search")}
        for budget in sorted({*spread, search["largest"]}):
            for seed in search["seeds"]:
                named = {"cell": f"{search['search']}/{budget}/seed{seed}", "budget": budget, "trainable": budget}
                like = full[search["backbone"], search["task"], seed]
                cells.append({**like, **own, **named, "experiments": ["threshold"], "match": None, "matches": []})
    return {**plan, "cells": cells, "searches": [], "rate_searches": []}


def _at_first_rate(plan: StudyPlan) -> Iterator[dict[str, Any]]:
    """A cell for each seed of each search for a rate that has chosen none yet."""
    by_path = {cell["cell"]: cell for cell in plan["cells"]}
    for search in plan.get("rate_searches", ()):
        if not search["found"]:
            like, matches = by_path[search["tries"][0]], search["matches"]
            use = {"experiments": search["experiments"], "match": matches[0] if matches else None, "matches": matches}
            for seed in search["seeds"]:
                yield {**like, **use, "cell": f"{search['search']}/seed{seed}", "seed": seed}


def settings_of(plan: StudyPlan) -> AnalysisSettings:
    """The analysis settings that the plan carries.

    Raises:
        BadInput: a key is unknown or out of range.
    """
    try:
        return AnalysisSettings.model_validate(plan["settings"])
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"plan of study {plan['study']}: key settings.{key}: {first['msg']}") from None


def backbone_order(plan: StudyPlan) -> dict[str, int]:
    """Position of each backbone: ladders in the order of the plan, and ascending scale within a ladder."""
    names = [rung["name"] for ladder in plan["ladders"] for rung in ladder["backbones"]]
    return {name: position for position, name in enumerate(names)}


def chance_points(task: Mapping[str, Any], *, class_head: bool) -> float:
    """Score of guessing, in points: 100/classes if the model always answers with a class, otherwise 0.

    A model that generates text (T5) scores 0 when it does not write a label, whatever the number of classes.
    """
    classes = task.get("classes")
    return 100.0 / classes if class_head and classes else 0.0
