"""Rates in a study file: every method tries as many with the first seed, and mistakes are refused."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from petscale.analysis.obstacles import obstacles
from petscale.errors import BadInput
from petscale.study.grid import TRIES, Grid
from petscale.study.rates import RateSearch
from petscale.workspace.grid import open_grid
from petscale.workspace.plan import plan_document
from petscale.workspace.study_file import parse_study

STUDY: dict[str, Any] = {
    "name": "one",
    "ladders": [{"name": "T5", "backbones": ["mini-t5-small", "mini-t5-base"]}],
    "tasks": ["mini-sentiment", "mini-qa"],
    "seeds": [3, 1, 2],
}
RATES = [1e-2, 1e-3, 3e-3]
METHODS = ["full", "lora", "prompt"]


def grid_of(experiments: dict[str, Any], **changes: Any) -> Grid:
    return open_grid(parse_study({**STUDY, **changes, "experiments": experiments}, "one.yaml"))


def test_every_method_tries_the_same_rates_with_the_first_seed_on_each_backbone_and_task() -> None:
    grid = grid_of({"methods": {"methods": METHODS, "rates": RATES}})
    tried = Counter((p.backbone.name, p.cell.task, p.cell.method) for p in grid.cells.values())
    assert tried == dict.fromkeys(
        ((b, t, m) for b in STUDY["ladders"][0]["backbones"] for t in STUDY["tasks"] for m in METHODS), 3
    )
    assert {p.cell.seed for p in grid.cells.values()} == {3}
    assert {p.cell.learning_rate for p in grid.cells.values()} == set(RATES)
    assert {p.experiments for p in grid.cells.values()} == {(TRIES,)}
    assert len(grid.searches) == len(tried)


def test_repeats_differ_from_tries_in_seed_and_rate_alone() -> None:
    grid = grid_of({"structure": {"groups": ["lora"], "rates": RATES}})
    for path, search in grid.searches.items():
        assert isinstance(search, RateSearch)
        assert path == search.path
        again = RateSearch.from_spec(json.loads(json.dumps(search.spec())))
        assert again == search
        repeat, tried = search.cell(1, 3e-3).spec(), search.tries[0].spec()
        takes_budget = search.dearest.budget is not None
        own = {"seed", "learning_rate"} | ({"mask_seed"} if takes_budget else set())
        assert {key for key in repeat if repeat[key] != tried[key]} == own
        assert not takes_budget or repeat["mask_seed"] == 1


def test_experiments_with_the_same_rates_share_their_searches() -> None:
    asked = {
        "methods": {"methods": ["full", "lora"], "rates": RATES},
        "structure": {"groups": ["lora"], "rates": RATES},
    }
    grid = grid_of(asked)
    alone = grid_of({"structure": asked["structure"]})
    assert set(grid.searches) == set(alone.searches)
    uses = {search.dearest.method: grid.uses[path] for path, search in grid.searches.items()}
    assert {use.experiment for use in uses["lora"]} == {"methods", "structure"}


def test_cells_that_train_nothing_try_nothing() -> None:
    grid = grid_of({"threshold": {"methods": ["apet-discrete"], "budgets": [8, 64], "rates": RATES}})
    frozen = [planned for planned in grid.cells.values() if planned.cell.method == "frozen"]
    assert {planned.experiments for planned in frozen} == {("threshold",)}
    assert {planned.cell.seed for planned in frozen} == set(STUDY["seeds"])
    assert {search.dearest.method for search in grid.searches.values()} == {"full", "apet-discrete"}


def test_the_plan_counts_tries_and_repeats_and_says_what_can_be_decided() -> None:
    grid = grid_of({"methods": {"methods": METHODS, "rates": RATES}})
    document = plan_document(grid)
    assert len(document["cells"]) == 2 * 2 * 3 * 3
    assert sum(each["repeats"] for each in document["rate_searches"]) == 2 * 2 * 3 * 2
    plain = plan_document(grid_of({"methods": {"methods": METHODS}}))
    settings = grid.study.analysis
    assert obstacles(document, settings) == obstacles(plain, settings)


@pytest.mark.parametrize(
    ("experiments", "told"),
    [
        ({"transfer": {"rates": RATES}}, "experiments.transfer: rates: the source cells of transfers"),
        ({"threshold": {"search": {}, "rates": RATES}}, "experiments.threshold: rates: a search trains"),
        ({"threshold": {"learning_rates": [0.1], "rates": RATES}}, "experiments.threshold: rates: give one of"),
        ({"methods": {"rates": []}}, r"experiments.methods.rates"),
        ({"methods": {"rates": [0.0]}}, r"experiments.methods.rates"),
    ],
)
def test_what_cannot_be_searched_is_refused(experiments: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        grid_of(experiments)
