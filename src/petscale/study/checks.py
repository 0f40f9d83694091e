"""Checks the names in a study against what exists: tasks, backbones, methods and their options.

The models of a study file do not use the registries. This module does, so that a wrong name or option gives an error of
one line before anything is planned. Parts of the study that no cell uses are checked too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from petscale.backbones.catalogue import ALIASES, CATALOGUE
from petscale.errors import BadInput, did_you_mean
from petscale.mini.specs import RANDOM
from petscale.study.config import Study
from petscale.study.config.recipe import Recipe
from petscale.tasks import TASKS
from petscale.tuning import registry
from petscale.tuning.options import BadOption

# The keys of experiments that list methods without a budget, and those that list methods that take one.
OWN_COUNT = {
    "methods": ("methods",),
    "structure": ("groups",),
    "convergence": ("match",),
    "transfer": ("match",),
    "control": ("methods",),
    "efficiency": ("methods",),
}
TAKES_BUDGET = {
    "structure": ("structures",),
    "convergence": ("structures",),
    "threshold": ("methods",),
    "transfer": ("structures",),
}


def check_names(study: Study) -> None:
    """Refuse a study with unknown names or wrong options.

    Raises:
        BadInput: a name is unknown or an option is wrong; the message names the key and the closest known name.
    """
    _check_tasks(study)
    _check_backbones(study)
    _check_variants(study)
    _check_experiments(study)
    _check_rates(study)
    _check_options(study)


def _check_tasks(study: Study) -> None:
    _check_list("tasks", study.tasks, TASKS, "task")
    _check_keys("data.dev_size_by_task", study.data.dev_size_by_task, TASKS, "task")


def _check_backbones(study: Study) -> None:
    for ladder in study.ladders:
        for name in ladder.backbones:
            key = f"ladders.{ladder.name}.backbones"
            if name in ALIASES and name not in study.folders:
                raise BadInput(f"key {key}: {name} is short for {ALIASES[name]}; a study file has the full name")
            _check_list(key, [name], {*CATALOGUE, *study.folders}, "backbone")
    used = {name for ladder in study.ladders for name in ladder.backbones}
    control = study.experiments.control
    for name in (control.backbones or sorted(used)) if control else ():
        if name + RANDOM not in CATALOGUE and name + RANDOM not in study.folders:
            raise BadInput(f"key experiments.control: {name} has no {name + RANDOM} with random weights")
        used.add(name + RANDOM)
    for name in study.folders:
        if name not in used:
            raise BadInput(f"key folders.{name}: no ladder has a backbone of that name{did_you_mean(name, used)}")


def _check_variants(study: Study) -> None:
    for name, variant in study.variants.items():
        if name in registry.METHODS:
            raise BadInput(f"key variants.{name}: a method has this name; choose another")
        _check_list(f"variants.{name}.method", [variant.method], registry.METHODS, "method")


def _check_experiments(study: Study) -> None:
    known = {*registry.METHODS, *study.variants}
    for lists, wants_budget in ((OWN_COUNT, False), (TAKES_BUDGET, True)):
        for experiment, fields in lists.items():
            asked = getattr(study.experiments, experiment)
            for field in fields if asked is not None else ():
                value = getattr(asked, field)
                names = [value] if isinstance(value, str) else value
                key = f"experiments.{experiment}.{field}"
                _check_list(key, names, known, "method")
                for name in names:
                    _check_count(key, name, study.method_of(name), wants_budget)


def _check_count(key: str, name: str, method: str, wants_budget: bool) -> None:
    if registry.METHODS[method].takes_budget == wants_budget:
        return
    if wants_budget:
        raise BadInput(f"key {key}: {name} has a count of its own; this list is for methods that take a budget")
    raise BadInput(f"key {key}: {name} takes a budget; this list is for methods that have a count of their own")


def _check_rates(study: Study) -> None:
    methods = {name for method in registry.METHODS.values() for name in (method.name, method.learning_rate_key)}
    methods |= set(study.variants)
    swept = study.experiments.threshold
    for place, recipe in _recipes(study).items():
        _check_keys(f"{place}.learning_rate_by_method", recipe.learning_rate_by_method, methods, "method")
        _check_keys(f"{place}.learning_rate_by_task", recipe.learning_rate_by_task, TASKS, "task")
        _check_keys(f"{place}.steps_by_task", recipe.steps_by_task, TASKS, "task")
        if recipe.learning_rate_by_budget and swept is not None and swept.learning_rates:
            raise BadInput(
                f"key experiments.threshold.learning_rates: {place}.learning_rate_by_budget gives each budget its rate"
            )


def _recipes(study: Study) -> dict[str, Recipe]:
    """The recipes of the study, by their key."""
    return {"recipe": study.recipe} | {
        f"recipe_by_ladder.{ladder}": study.recipe_for(ladder) for ladder in study.recipe_by_ladder
    }


def _check_options(study: Study) -> None:
    given: Mapping[str, Mapping[str, Any]] = study.method_options
    _check_keys("method_options", given, registry.METHODS, "method")
    for method, options in given.items():
        _read_options(f"method_options.{method}", method, options)
    for name, variant in study.variants.items():
        _read_options(f"variants.{name}.options", variant.method, study.options_of(name))


def _read_options(place: str, method: str, options: Mapping[str, Any]) -> None:
    try:
        registry.METHODS[method].options.read(method, options)
    except BadOption as error:
        raise BadInput(f"key {place}{'.' if error.option else ''}{error.option or ''}: {error}") from None


def _check_list(key: str, names: Iterable[str], known: Collection[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise BadInput(f"key {key}: unknown {what} {name!r}{did_you_mean(name, known)}")


def _check_keys(key: str, names: Iterable[str], known: Collection[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise BadInput(f"key {key}.{name}: no such {what}{did_you_mean(name, known)}")
