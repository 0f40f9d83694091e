"""The claims of Lialin et al. get the verdict that a made-up study should give them, and none by a placebo."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from petscale.analysis.claims import listed
from petscale.analysis.obstacles import obstacles
from petscale.analysis.readings import KNOWLEDGE
from petscale.analysis.simulate import Mixed, Simulator, World, shares
from petscale.study.config.analysis import AnalysisSettings
from petscale.workspace.grid import open_grid
from petscale.workspace.plan import plan_document
from petscale.workspace.study_file import parse_study

METHODS = ["full", "houlsby", "pfeiffer", "lora-qv", "lora-all", "ln-tuning"]
CLAIMS = ("adapters-lora-reach", "pfeiffer-below", "norms-competitive")
SETTINGS = AnalysisSettings(claims=CLAIMS, bootstrap_draws=200)


def plan_of(methods: list[str], seeds: int = 5) -> dict[str, Any]:
    study = {
        "name": "made-up",
        "ladders": [{"name": "T5", "backbones": ["mini-t5-small", "mini-t5-large"]}],
        "tasks": ["mini-sentiment", "mini-qa"],
        "seeds": list(range(seeds)),
        "experiments": {"methods": {"methods": methods}},
    }
    return plan_document(open_grid(parse_study(study, "made-up.yaml")))


PLAN = plan_of(METHODS)


def drawn(world: World, draws: int, mixed: Mixed | None = None) -> pd.DataFrame:
    simulator, generator = Simulator(PLAN, SETTINGS), np.random.default_rng(0)
    found = shares([simulator.claims(world, generator, mixed) for _ in range(draws)])
    return found[found["reading"] == KNOWLEDGE].set_index("id")


def test_equal_methods_reach_full_and_none_is_below_another() -> None:
    found = drawn(World(gap=(0.0, 0.0), seed_sd=0.5), 3)
    assert found["supported"].to_dict() == {"adapters-lora-reach": 1, "pfeiffer-below": 0, "norms-competitive": 1}
    assert found.loc["pfeiffer-below", "not supported"] == 1


def test_methods_that_fall_behind_do_not_reach_full() -> None:
    """The methods are spread evenly below full in the order of the plan, Pfeiffer five points below Houlsby."""
    found = drawn(World(gap=(20.0, 20.0), seed_sd=0.5), 3)
    assert found["supported"].to_dict() == {"adapters-lora-reach": 0, "pfeiffer-below": 1, "norms-competitive": 0}
    assert (found.loc[["adapters-lora-reach", "norms-competitive"], "not supported"] == 1).all()


def test_one_size_that_parts_speaks_against_a_claim_about_every_size() -> None:
    found = drawn(World(gap=(20.0, 0.0), seed_sd=0.5), 3)
    assert (found["not supported"] == 1).all()


@pytest.mark.parametrize("mixed", [Mixed(methods=True), Mixed(constant=0.0)])
def test_no_placebo_is_supported(mixed: Mixed) -> None:
    """Methods change places, or no cell knows anything: at most one draw of twenty may support a claim."""
    found = drawn(World(gap=(12.0, 12.0), seed_sd=2.0), 40, mixed)
    assert (found["supported"] <= 0.05).all()


def test_only_studies_of_these_methods_list_the_claims() -> None:
    assert {claim.id for claim in listed(PLAN, AnalysisSettings())} >= set(CLAIMS)
    other = {claim.id for claim in listed(plan_of(["full", "houlsby", "lora"]), AnalysisSettings())}
    assert other.isdisjoint(CLAIMS) and "reach-full" in other


def test_what_cannot_be_decided_is_said_beforehand() -> None:
    (one,) = obstacles(plan_of(METHODS, seeds=1), SETTINGS).values()
    assert all("needs 2 seeds" in one[claim] for claim in CLAIMS)
    (lacking,) = obstacles(plan_of(["full", "houlsby"]), SETTINGS).values()
    assert lacking["pfeiffer-below"] == "experiment methods lacks pfeiffer"
    (alone,) = obstacles(plan_of(METHODS), SETTINGS).values()
    assert not set(CLAIMS) & set(alone)
