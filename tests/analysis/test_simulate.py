"""Made-up results have the truth they are given, and false claims are not supported on them.

These are a few draws of what `benchmarks/coverage.py` does with three hundred.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from petscale.analysis.obstacles import obstacles
from petscale.analysis.readings import KNOWLEDGE
from petscale.analysis.simulate import Mixed, Simulator, World, of_the_paper, power, quick
from petscale.cli.main import main
from petscale.study.config.analysis import AnalysisSettings, Margins
from petscale.workspace.grid import open_grid
from petscale.workspace.plan import plan_document
from petscale.workspace.study_file import parse_study

TASKS = ["mini-sentiment", "mini-opinion", "mini-inference", "mini-qa"]
BASE: dict[str, Any] = {
    "name": "simulated",
    "ladders": [{"name": "mini-t5", "backbones": ["mini-t5-small", "mini-t5-large"]}],
    "tasks": TASKS,
    "data": {"source": "mini"},
    "seeds": [1, 2, 3, 4, 5],
    "method_options": {"prompt": {"tokens": 8}, "lora": {"rank": 2, "alpha": 4}},
    "recipe": {"steps": 300, "evaluate_every": 10},
}
EXPERIMENTS: dict[str, Any] = {
    "methods": {"methods": ["full", "prompt", "lora"], "tasks": [TASKS[0], TASKS[3]]},
    "structure": {"groups": ["lora"], "tasks": [TASKS[0], TASKS[3]]},
    "convergence": {"match": ["lora"], "tasks": [TASKS[0], TASKS[3]]},
    "threshold": {"tasks": [TASKS[0], TASKS[2]], "budgets": [64, 128, 256, 512, 1024, 2048, 4096]},
    "transfer": {"tasks": TASKS[:3], "structures": ["apet-discrete"]},
}


def plan(**changes: Any) -> dict[str, Any]:
    return plan_document(open_grid(parse_study({**BASE, "experiments": EXPERIMENTS, **changes}, "test")))


@cache
def simulator() -> Simulator:
    return Simulator(plan(), quick(AnalysisSettings()))


def drawn(world: World, mixed: Mixed | None = None, draws: int = 2) -> pd.DataFrame:
    """The claims of several draws by knowledge, one after the other."""
    generator = np.random.default_rng(0)
    tables = pd.concat([simulator().claims(world, generator, mixed) for _ in range(draws)])
    return tables[tables["reading"] == KNOWLEDGE].set_index("id")


CLEAR = World(gap=(20.0, 1.0), structure_gap=(20.0, 1.0), low=(100.0, 1_500.0), high=(1_800.0, 1_600.0), seed_sd=0.5)


def test_a_clear_truth_is_found() -> None:
    found = drawn(CLEAR)["verdict"]
    for claim in ("gap-shrinks", "structure-less", "adjacent-faster", "jump", "low-rises", "transfer-type"):
        assert set(found[claim]) == {"supported"}, claim
    assert set(drawn(World(across=(0.1, 0.6), seed_sd=0.5))["verdict"]["transfer-scale"]) == {"not supported"}


def test_constant_scores_support_nothing() -> None:
    """Placebo (a): every cell scores like a guess; no claim can be measured on it."""
    found = drawn(CLEAR, Mixed(constant=0.0))
    assert set(found["verdict"]) == {"not measurable here"}


def test_constant_zero_shot_scores_support_nothing_on_transfer() -> None:
    """Placebo (a): with relative performance, "scale does not help" was supported in every draw."""
    found = drawn(CLEAR, Mixed(guessing=True))
    assert not (found.loc[["transfer-type", "transfer-scale"], "verdict"] == "supported").any()


def test_permuted_labels_support_next_to_nothing() -> None:
    """Placebos (b) and (c): of these fourteen rows one may be supported by chance."""
    scales = drawn(CLEAR, Mixed(scales=True)).loc[["gap-shrinks", "structure-less", "low-rises", "high-falls"]]
    methods = drawn(CLEAR, Mixed(methods=True)).loc[["gap-shrinks", "structure-less", "adjacent-faster"]]
    assert (pd.concat([scales, methods])["verdict"] == "supported").sum() <= 1


def test_equal_thresholds_with_unequal_steepness_support_no_change() -> None:
    """Placebo (d): read off straight lines, "the low threshold rises" was supported in 84 % of draws."""

    def curve(x: np.ndarray, position: np.ndarray, place: np.ndarray) -> np.ndarray:
        width = 0.1 + 0.23 * position  # ten to ninety percent in 0.4 and in 1.5 decades
        return 1 / (1 + np.exp(-(x - 2.53) / width) * (9.0 - 1))  # a ninth of the way, 5 points, at 339 parameters

    found = drawn(World(curve=curve), draws=3)
    assert (found.loc["low-rises", "verdict"] != "supported").all()
    assert (found.loc["low-rises", "low"] <= 0).all() and (found.loc["low-rises", "high"] >= 0).all()


def test_power_is_the_share_of_draws_that_decide() -> None:
    """Power was never looked at: "gaps shrink" had 7 % at the default study's size."""
    document = plan(experiments={"methods": EXPERIMENTS["methods"]})
    found = power(document, AnalysisSettings(), World(gap=(20.0, 0.0), seed_sd=0.5), 2).set_index(["id", "reading"])
    assert found.loc[("gap-shrinks", KNOWLEDGE), "supported"] == 1.0
    assert found.loc[("jump", KNOWLEDGE), "not measurable here"] == 1.0
    noisy = power(document, AnalysisSettings(), World(gap=(20.0, 0.0), seed_sd=30.0), 2).set_index(["id", "reading"])
    assert noisy.loc[("gap-shrinks", KNOWLEDGE), "supported"] < 1.0


def test_a_searched_threshold_has_power_too() -> None:
    """A search stands for a sweep that resolves as much; once its claims counted as not measurable in simulations."""
    searched = {"threshold": {"tasks": [TASKS[0]], "search": {"factor": 2.0}, "methods": ["apet-discrete"]}}
    document = plan(experiments=searched)
    found = power(document, quick(AnalysisSettings()), of_the_paper(document, 0.5), 1).set_index(["id", "reading"])
    assert found.loc[("low-rises", KNOWLEDGE), "supported"] == 1.0


def test_the_papers_effects_are_placed_in_the_swept_range() -> None:
    world = of_the_paper(plan(), 1.5)
    assert world.seed_sd == 1.5
    assert 64 < world.low[0] < world.low[1] < world.high[1] < world.high[0] < 4_096
    assert world.low[1] / world.low[0] == pytest.approx(4.0)
    assert of_the_paper({"cells": []}, 2.0).low == (2_000.0, 8_000.0)


def test_the_plan_tells_what_it_cannot_decide_and_its_power(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing said before a run that most rows of the default study could not be decided."""
    study = {**BASE, "experiments": {"methods": EXPERIMENTS["methods"]}, "seeds": [1, 2, 3]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    assert main(["plan", str(tmp_path / "study.yaml"), "--power", "2", "--seed-sd", "0.5"]) == 0
    told = capsys.readouterr().out
    assert "claims: 2 of 12 (claims x ladders) can be decided; not measurable here:" in told
    assert "mini-t5: The high threshold falls with scale: no budget is swept on this ladder" in told
    assert "power: 2 simulated studies with the paper's effects, cells scatter by 0.5 points" in told
    assert re.search(r"\d+% +\d+%  mini-t5: Gaps among PET methods shrink with scale\n", told)
    assert "if cells scatter by 0.5 points over seeds" in told


def _obstacle(claim: str, settings: AnalysisSettings | None = None, **changes: Any) -> str | None:
    return obstacles(plan(**changes), settings or AnalysisSettings())["mini-t5"].get(claim)


def test_what_a_design_cannot_decide_is_known_before_any_cell_runs() -> None:
    """The demo listed four claims that it could not decide: its sweeps and transfers did not reach the largest size."""
    assert obstacles(plan(), AnalysisSettings()) == {"mini-t5": {}}
    ladder = [{"name": "mini-t5", "backbones": ["mini-t5-small", "mini-t5-base", "mini-t5-large"]}]
    part = {"backbones": ["mini-t5-small", "mini-t5-base"]}
    short = EXPERIMENTS | {name: {**EXPERIMENTS[name], **part} for name in ("threshold", "transfer")}
    found = obstacles(plan(ladders=ladder, experiments=short), AnalysisSettings())["mini-t5"]
    assert set(found) == {"high-falls", "low-rises", "transfer-scale"}
    assert found["low-rises"] == "experiment threshold does not run on mini-t5-large"
    assert _obstacle("gap-shrinks", seeds=[1, 2]) == "an interval needs 3 seeds, and mini-t5-small has 2"
    assert _obstacle("gap-shrinks", ladders=[{"name": "mini-t5", "backbones": ["mini-t5-small"]}]) == (
        "the ladder has one size"
    )
    one_task = {**EXPERIMENTS, "threshold": {**EXPERIMENTS["threshold"], "tasks": TASKS[:1]}}
    assert _obstacle("low-equal-tasks", experiments=one_task) == "a single task is swept on mini-t5-small"
    strict = AnalysisSettings(margins=Margins(threshold_factor=1.9))
    assert _obstacle("low-equal-methods", strict) == (
        "budgets lie a factor 2 apart, so no two thresholds can be shown to lie within a factor 1.9"
    )
    searched = {"threshold": {"tasks": [TASKS[0], TASKS[2]], "search": {"factor": 1.5}}}
    for claim in ("high-falls", "low-rises", "jump", "low-equal-methods", "low-equal-tasks"):
        assert _obstacle(claim, experiments=searched) is None, claim
    alone = {"methods": {"methods": ["prompt", "lora"]}}
    assert _obstacle("reach-full", experiments=alone) == (
        "without full fine-tuning on mini-t5-large nothing tells which tasks are learnt"
    )
    assert _obstacle("adjacent-faster", experiments=alone) == "experiment convergence does not run on mini-t5-large"
    within = {"transfer": {"tasks": TASKS[:2]}}
    assert _obstacle("transfer-type", experiments=within) == (
        "no source has targets both of its own type and of another type"
    )
    assert _obstacle("transfer-scale", experiments=within) == "no target is of another type than its source"
