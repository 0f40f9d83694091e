"""The convergence rule finds known steps and censors flat runs, and intervals of the ratio have their coverage."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from petscale.analysis.convergence import grid_variance, log_ratio, mean_ratio, pairs_table
from petscale.analysis.convergence_rule import (
    CONVERGED,
    NEVER_ROSE,
    NO_CURVE,
    UNSETTLED,
    convergence_step,
    smooth,
    target_step,
)
from petscale.study.config.analysis import AnalysisSettings, ConvergenceSettings

RULE = ConvergenceSettings(smoothing=1)
STEPS = np.arange(0, 525, 25, dtype=float)


def _run(reach: float, top: float = 80.0) -> np.ndarray:
    return np.minimum(top, 2.0 + (top - 2.0) * STEPS / reach)


@pytest.mark.parametrize("reach", [100.0, 200.0, 400.0])
def test_a_run_converges_when_it_comes_within_the_tolerance_for_good(reach: float) -> None:
    step, outcome = convergence_step(STEPS, _run(reach), 2.0, RULE)
    exact = reach * (80.0 - RULE.tolerance - 2.0) / 78.0
    assert outcome == CONVERGED
    assert 0 <= step - exact < 25


def test_a_flat_run_is_censored_not_converged_at_step_0() -> None:
    assert convergence_step(STEPS, np.full(len(STEPS), 50.0), 50.0, RULE)[1] == NEVER_ROSE
    assert math.isnan(convergence_step(STEPS, np.full(len(STEPS), 50.0), 50.0, RULE)[0])


def test_a_dip_after_the_first_visit_moves_the_step_behind_it() -> None:
    dev = _run(100.0)
    dev[10] = 60.0
    assert convergence_step(STEPS, dev, 2.0, RULE)[0] == STEPS[11]


def test_a_run_that_falls_at_the_end_has_no_step() -> None:
    dev = _run(100.0)
    dev[-1] = 40.0
    assert convergence_step(STEPS, dev, 2.0, RULE)[1] == UNSETTLED


def test_no_curve_no_step() -> None:
    assert convergence_step(np.array([]), np.array([]), 0.0, RULE)[1] == NO_CURVE
    assert math.isnan(target_step(np.array([]), np.array([]), 1.0, RULE))


def test_smoothing_is_a_centred_mean_over_what_there_is() -> None:
    assert smooth(np.array([0.0, 3.0, 6.0, 9.0]), 3).tolist() == [1.5, 3.0, 6.0, 7.5]
    assert smooth(np.array([0.0, 4.0]), 5).tolist() == [2.0, 2.0]


def test_unsound_rules_are_refused() -> None:
    with pytest.raises(ValidationError, match="odd"):
        ConvergenceSettings(smoothing=4)
    with pytest.raises(ValidationError, match="rise"):
        ConvergenceSettings(rise=2.0, tolerance=3.0)


GRID = 20.0


def _noisy_step(generator: np.random.Generator, reach: float, rule: ConvergenceSettings) -> float:
    own = reach * math.exp(generator.normal(0, 0.15))
    grid = np.arange(0, 1_000, GRID)
    dev = np.minimum(80.0, 2.0 + 78.0 * grid / own) + generator.normal(0, 0.4, len(grid))
    return convergence_step(grid, dev, 2.0, rule)[0]


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_of_the_ratio_covers_a_factor_of_two(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    rule, inside, draws = ConvergenceSettings(smoothing=3), 0, 500
    # The pool of runs is larger than any draw needs, and cheaper than a fresh set of runs for each.
    adjacent, discrete = ([_noisy_step(generator, reach, rule) for _ in range(2_000)] for reach in (200.0, 400.0))
    places = pd.DataFrame([(task, "lora", seed) for task in "abc" for seed in range(seeds)])
    places.columns = ["task", "group", "seed"]
    for _ in range(draws):
        pairs = list(zip(*(generator.choice(pool, len(places)) for pool in (adjacent, discrete)), strict=True))
        ratio = [log_ratio(late, early, GRID) for early, late in pairs]
        variance = [grid_variance(late, early, GRID) for early, late in pairs]
        estimate = mean_ratio(places.assign(ratio=ratio, ratio_variance=variance), "ratio", 0.95)
        inside += estimate.low <= 1.0 <= estimate.high
    assert 0.90 <= inside / draws <= 0.99


def _runs(adjacent: float, discrete: float, outcomes: tuple[str, str] = (CONVERGED, CONVERGED)) -> pd.DataFrame:
    common = {"ladder": "l", "backbone": "b", "scale": 0, "display": "b", "task": "t", "kind": "k", "group": "lora",
              "seed": 1, "resolution": 25.0, "baseline": 2.0, "best": 80.0}  # fmt: skip
    return pd.DataFrame(
        [
            {**common, "cell": "x", "structure": "adjacent", "step": adjacent, "outcome": outcomes[0]},
            {**common, "cell": "y", "structure": "discrete", "step": discrete, "outcome": outcomes[1]},
        ]
    )


def test_a_pair_has_a_ratio_and_a_time_to_a_common_target() -> None:
    curves = pd.concat(
        pd.DataFrame({"cell": cell, "step": STEPS, "dev": _run(reach)}) for cell, reach in (("x", 100.0), ("y", 200.0))
    )
    pair = pairs_table(_runs(100.0, 200.0), curves, AnalysisSettings()).iloc[0]
    assert pair["ratio"] == pytest.approx(math.log2(187.5 / 87.5))
    assert pair["target_ratio"] == pytest.approx(1.0, abs=0.25)
    assert pair["first"] == "adjacent"


@pytest.mark.parametrize(
    ("steps", "outcomes", "first"),
    [
        ((math.nan, 200.0), (NEVER_ROSE, CONVERGED), "discrete"),
        ((100.0, math.nan), (CONVERGED, "diverged"), "unknown"),
        ((math.nan, math.nan), (NEVER_ROSE, UNSETTLED), "neither"),
        ((100.0, 100.0), (CONVERGED, CONVERGED), "together"),
    ],
)
def test_censored_pairs_count_but_have_no_ratio(
    steps: tuple[float, float], outcomes: tuple[str, str], first: str
) -> None:
    curves = pd.DataFrame({"cell": [], "step": [], "dev": []})
    pair = pairs_table(_runs(*steps, outcomes), curves, AnalysisSettings()).iloc[0]
    assert pair["first"] == first
    assert math.isnan(pair["ratio"]) == (first != "together")
