"""Names in a study file that do not exist: one line with the file, the key and the closest known name."""

from __future__ import annotations

from typing import Any

import pytest

from petscale.errors import BadInput
from petscale.study import checks
from petscale.study.config import Experiments
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import parse_study
from study.test_config import changed

TWO_TASKS = ["mini-sentiment", "mini-opinion"]


def asks(experiment: str, **keys: Any) -> dict[str, Any]:
    return changed(experiments={experiment: keys})


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a rate for no method": (
        changed(recipe={"learning_rate_by_method": {"lroa": 1e-3}}),
        "key recipe.learning_rate_by_method.lroa: no such method; did you mean 'lora'?",
    ),
    "a rate for no task": (
        changed(recipe={"learning_rate_by_task": {"rtee": 1e-3}}),
        "key recipe.learning_rate_by_task.rtee: no such task; did you mean 'rte'?",
    ),
    "a negative rate for a method": (
        changed(recipe={"learning_rate_by_method": {"lora": -1.0}}),
        "key recipe.learning_rate_by_method.lora: Input should be greater than 0",
    ),
    "an infinite rate": (
        changed(recipe={"learning_rate": float("inf")}),
        "key recipe.learning_rate: Input should be a finite number",
    ),
    "a size for no task": (
        changed(data={"source": "mini", "dev_size_by_task": {"mini-qaa": 5}}),
        "key data.dev_size_by_task.mini-qaa: no such task; did you mean 'mini-qa'?",
    ),
    "a ladder's task that the study lacks": (
        changed(ladders=[{"name": "mini-t5", "backbones": ["mini-t5-small"], "tasks": ["mini-q"]}], tasks=["mini-qa"]),
        "ladders.mini-t5.tasks: mini-q is not in the study's tasks; did you mean 'mini-qa'?",
    ),
    "a ladder's task that stands twice": (
        changed(ladders=[{"name": "mini-t5", "backbones": ["mini-t5-small"], "tasks": ["mini-qa", "mini-qa"]}]),
        "ladders.mini-t5.tasks: mini-qa stands twice",
    ),
    "a claim that does not exist": (
        changed(analysis={"claims": ["gap-shrinkss"]}),
        "key analysis.claims.0: Input should be 'gap-shrinks', ",
    ),
    "a recipe for no ladder": (
        changed(recipe_by_ladder={"mini-t6": {"steps": 5}}),
        "recipe_by_ladder.mini-t6: no such ladder; did you mean 'mini-t5'?",
    ),
    "a key that no recipe has": (
        changed(recipe_by_ladder={"mini-t5": {"stepps": 5}}),
        "recipe_by_ladder.mini-t5.stepps: no such key; did you mean 'steps'?",
    ),
    "a value that no recipe has": (
        changed(recipe_by_ladder={"mini-t5": {"steps": 0}}),
        "recipe_by_ladder.mini-t5.steps: Input should be greater than or equal to 1",
    ),
    "a rate for no method in a ladder": (
        changed(recipe_by_ladder={"mini-t5": {"learning_rate_by_method": {"promt": 0.1}}}),
        "key recipe_by_ladder.mini-t5.learning_rate_by_method.promt: no such method; did you mean 'prompt'?",
    ),
    "options of no method": (
        changed(method_options={"lorra": {}}),
        "key method_options.lorra: no such method; did you mean 'lora'?",
    ),
    "a wrong option": (
        changed(method_options={"lora": {"rank": 0}}),
        "key method_options.lora.rank: lora: option rank: expected a positive whole number, found 0",
    ),
    "a wrong option of a method that no cell uses": (
        changed(method_options={"adapter": {"bottleneck": True}}),
        "key method_options.adapter.bottleneck: adapter: option bottleneck: expected a positive whole number, "
        "found True",
    ),
    "an unknown option of a method that no cell uses": (
        changed(method_options={"adapter": {"botleneck": 4}}),
        "key method_options.adapter.botleneck: adapter: unknown option 'botleneck'; did you mean 'bottleneck'?",
    ),
    "an option inside an option": (
        changed(method_options={"apet-discrete": {"shares": {"self.q": "x"}}}),
        "key method_options.apet-discrete.shares.self.q: apet-discrete: option shares.self.q: expected a positive "
        "number up to 1e+18, found 'x'",
    ),
    "a folder that no ladder uses": (
        changed(folders={"mini-t5-smal": "/somewhere"}),
        "key folders.mini-t5-smal: no ladder has a backbone of that name; did you mean 'mini-t5-small'?",
    ),
    "no such backbone": (
        changed(ladders=[{"name": "x", "backbones": ["mini-t5-smal"]}]),
        "key ladders.x.backbones: unknown backbone 'mini-t5-smal'; did you mean 'mini-t5-small'?",
    ),
    "the short name of a backbone": (  # planning ended in a KeyError
        changed(ladders=[{"name": "x", "backbones": ["bert-small"]}], tasks=["sst2"], data={}),
        "key ladders.x.backbones: bert-small is short for google/bert_uncased_L-4_H-512_A-8; a study file has the full "
        "name",
    ),
    "a control that does not exist": (
        changed(
            ladders=[{"name": "x", "backbones": ["bert-large-uncased"]}],
            experiments={"control": {"methods": ["full"]}},
        ),
        "key experiments.control: bert-large-uncased has no bert-large-uncased-random with random weights",
    ),
    "no such task": (
        changed(tasks=["mini-sentimnt"]),
        "key tasks: unknown task 'mini-sentimnt'; did you mean 'mini-sentiment'?",
    ),
    "a backbone outside the study": (
        asks("methods", backbones=["mini-t5-smalll"]),
        "experiments.methods.backbones: mini-t5-smalll is not in the study's backbones; did you mean 'mini-t5-small'?",
    ),
    "a target outside the study": (  # planning ended in a KeyError
        changed(tasks=TWO_TASKS, experiments={"transfer": {"targets": ["mini-opinoin"]}}),
        "experiments.transfer.targets: mini-opinoin is not in the study's tasks; did you mean 'mini-opinion'?",
    ),
    "seeds that stand twice": (changed(seeds=[1, 2, 1]), "seeds: 1 stands twice"),
    "seeds of an experiment that stand twice": (
        asks("methods", seeds=[3, 3]),
        "experiments.methods.seeds: 3 stands twice",
    ),
    "budgets that stand twice": (
        asks("threshold", budgets=[8, 64, 8]),
        "experiments.threshold.budgets: 8 stands twice",
    ),
    "methods that stand twice": (
        asks("structure", structures=["apet-discrete", "apet-discrete"]),
        "experiments.structure.structures: apet-discrete stands twice",
    ),
    "a method without a budget": (
        asks("methods", methods=["full", "apet-discrete"]),
        "key experiments.methods.methods: apet-discrete takes a budget; this list is for methods that have a count of "
        "their own",
    ),
    "a method with a count of its own": (
        asks("threshold", methods=["lora"]),
        "key experiments.threshold.methods: lora has a count of its own; this list is for methods that take a budget",
    ),
    "an empty list, which would mean all": (asks("methods", tasks=[]), "key experiments.methods.tasks: List should"),
}


@pytest.mark.parametrize("document, line", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_name_is_one_line(document: dict[str, Any], line: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_study(document, "study.yaml")
    assert str(caught.value).startswith(f"study.yaml: {line}")
    assert "\n" not in str(caught.value)


LISTS = [
    (experiment, field)
    for experiment, fields in [*checks.OWN_COUNT.items(), *checks.TAKES_BUDGET.items()]
    for field in fields
]


@pytest.mark.parametrize("experiment, field", LISTS)
def test_every_list_of_methods_is_checked(experiment: str, field: str) -> None:
    value = "lorra" if field == "match" and experiment == "transfer" else ["lorra"]
    with pytest.raises(BadInput) as caught:
        parse_study(asks(experiment, **{field: value}), "study.yaml")
    line = f"study.yaml: key experiments.{experiment}.{field}: unknown method 'lorra'; did you mean 'lora'?"
    assert str(caught.value) == line


def test_no_list_of_methods_is_left_out() -> None:
    """A new experiment, or a new list of one, must be added to the checks."""
    others = {"backbones", "tasks", "seeds", "targets", "budgets", "search", "learning_rates", "rates", "head"}
    others |= {"warmup_steps", "steps"}
    fields = {
        (name, field)
        for name, section in Experiments.model_fields.items()
        for annotation in section.annotation.__args__[:1]  # type: ignore[union-attr]
        for field in annotation.model_fields
        if field not in others
    }
    assert fields == set(LISTS)


def test_names_that_exist_are_accepted() -> None:
    """Rates by a method, by the key that methods share, and by a task of another study; options of unused methods."""
    recipe = {"learning_rate_by_method": {"apet": 0.1, "prompt-50": 0.2}, "learning_rate_by_task": {"rte": 0.1}}
    options = {"adapter": {"bottleneck": 3, "placement": "sublayer"}, "apet-discrete": {"roles": ["norm"]}}
    study = changed(recipe={**recipe, "steps": 4, "evaluate_every": 2}, method_options=options)
    assert open_grid(parse_study(study, "study.yaml")).cells


def test_a_folder_may_carry_the_name_of_the_catalogue_or_of_a_control() -> None:
    """A folder goes before the catalogue, and a random control of a local backbone may be given as a folder."""
    folders = {"mini-t5-small": "/somewhere", "mine": "/mine", "mine-random": "/other"}
    ladders = [{"name": "x", "backbones": ["mini-t5-small", "mine"]}]
    study = parse_study(changed(folders=folders, ladders=ladders, experiments={"control": {}}), "study.yaml")
    assert set(study.folders) == set(folders)
