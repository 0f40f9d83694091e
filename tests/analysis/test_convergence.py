"""Times to a common target are unbiased and censored where a run does not reach it; the rule finds known steps."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import optimize, stats

from petscale.analysis.convergence import (
    censored_mean,
    convergence_table,
    grid_variance,
    log_ratio,
    mean_ratio,
    pairs_table,
    runs_table,
    time_ratio,
)
from petscale.analysis.convergence_rule import (
    CONVERGED,
    NEVER_ROSE,
    NO_CURVE,
    UNSETTLED,
    convergence_step,
    smooth,
    still_rising,
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
    """One run of each structure with the step at which it reaches the target, if it does."""
    common = {"ladder": "l", "backbone": "b", "scale": 0, "display": "b", "task": "t", "kind": "k", "group": "lora",
              "seed": 1, "resolution": 25.0, "last_step": 500.0, "baseline": 2.0, "best": 80.0, "target": 72.0,
              "step": 300.0, "still_rising": False}  # fmt: skip
    return pd.DataFrame(
        [
            {**common, "cell": "x", "structure": "adjacent", "target_step": adjacent, "outcome": outcomes[0]},
            {**common, "cell": "y", "structure": "discrete", "target_step": discrete, "outcome": outcomes[1]},
        ]
    )


@pytest.mark.parametrize(
    ("steps", "outcomes", "first", "low", "high"),
    [
        ((100.0, 200.0), (CONVERGED, CONVERGED), "adjacent", math.log2(187.5 / 87.5), math.log2(187.5 / 87.5)),
        ((math.nan, 200.0), (NEVER_ROSE, CONVERGED), "discrete", -math.inf, math.log2(187.5 / 512.5)),
        ((100.0, math.nan), (CONVERGED, CONVERGED), "adjacent", math.log2(512.5 / 87.5), math.inf),
        ((100.0, math.nan), (CONVERGED, "diverged"), "unknown", math.nan, math.nan),
        ((math.nan, math.nan), (NEVER_ROSE, UNSETTLED), "neither", math.nan, math.nan),
        ((100.0, 100.0), (CONVERGED, CONVERGED), "together", 0.0, 0.0),
    ],
)
def test_a_run_that_never_reaches_the_target_is_a_bound(
    steps: tuple[float, float], outcomes: tuple[str, str], first: str, low: float, high: float
) -> None:
    """Once such a pair had no ratio, so that a structure lost its slow runs and looked as fast as the other."""
    pair = pairs_table(_runs(*steps, outcomes)).iloc[0]
    assert pair["first"] == first
    assert (pair["ratio_low"], pair["ratio_high"]) == pytest.approx((low, high), nan_ok=True)
    assert math.isnan(pair["ratio"]) == (low != high)


def test_the_mean_of_censored_values_agrees_with_a_likelihood_written_out() -> None:
    value = np.random.default_rng(0).normal(0.5, 1.0, 40)
    low = np.where(value > 1.0, 1.0, np.where(value < -0.5, -np.inf, value))
    high = np.where(value > 1.0, np.inf, np.where(value < -0.5, -0.5, value))

    def surprise(at: np.ndarray) -> float:
        mean, sd = at[0], math.exp(at[1])
        above, below = stats.norm.logsf(1.0, mean, sd), stats.norm.logcdf(-0.5, mean, sd)
        seen = stats.norm.logpdf(value[low == high], mean, sd).sum()
        return -float(seen + above * np.isposinf(high).sum() + below * np.isneginf(low).sum())

    expected = optimize.minimize(surprise, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
    assert censored_mean(low, high) == pytest.approx(expected.x[0], abs=1e-3)
    assert math.isnan(censored_mean(np.array([1.0, 2.0]), np.array([np.inf, np.inf])))


STEPS_TO_150 = np.arange(0, 155, 5, dtype=float)


def _study_of(generator: np.random.Generator, reach: float, ratio: float, seeds: int) -> pd.DataFrame:
    """Pairs of runs that rise exponentially; discrete needs `ratio` times the steps of adjacent."""
    cells, curves = [], []
    for task in "ab":
        for seed in range(seeds):
            for structure, own in (("adjacent", reach), ("discrete", reach * ratio)):
                name = f"{task}-{structure}-{seed}"
                speed = own * math.exp(generator.normal(0, 0.15))
                dev = 90.0 - 88.0 * np.exp(-STEPS_TO_150 / speed) + generator.normal(0, 1.0, len(STEPS_TO_150))
                curves.append(pd.DataFrame({"cell": name, "step": STEPS_TO_150, "dev": dev}))
                cells.append(
                    {"cell": name, "ladder": "l", "backbone": "b", "scale": 0, "display": "b", "task": task,
                     "kind": "k", "method": structure, "structure": structure, "seed": seed, "head": None,
                     "budget": 8.0, "status": "done", "matches": ("lora",), "experiments": ("convergence",),
                     "control": False, "chance": 2.0, "floor": 2.0, "dev": np.nan}
                )  # fmt: skip
    return pairs_table(runs_table(pd.DataFrame(cells), pd.concat(curves), AnalysisSettings()))


@pytest.mark.parametrize("reach", [15.0, 60.0, 120.0], ids=["fast", "slow", "still rising"])
def test_the_time_to_a_common_target_is_unbiased_and_covered(reach: float) -> None:
    """A true ratio of 1.5 gave log2 0.11 instead of 0.58 by the rule of convergence, where runs still rise."""
    generator, truth, draws = np.random.default_rng(1), math.log2(1.5), 20
    found = [time_ratio(_study_of(generator, reach, 1.5, 5), 0.95) for _ in range(draws)]
    assert np.mean([one.value for one in found]) == pytest.approx(truth, abs=0.08)
    assert sum(one.low <= truth <= one.high for one in found) >= 17


def test_runs_that_still_rise_are_said_to_do_so() -> None:
    rule = ConvergenceSettings()
    assert still_rising(90.0 - 88.0 * np.exp(-STEPS_TO_150 / 120.0), rule)
    assert not still_rising(90.0 - 88.0 * np.exp(-STEPS_TO_150 / 15.0), rule)
    assert not still_rising(np.array([0.0, 50.0, 90.0]), rule)
    pairs = _study_of(np.random.default_rng(0), 120.0, 1.5, 2)
    assert pairs["discrete_rising"].all()
    table = convergence_table(pairs, AnalysisSettings()).set_index("measure")
    assert table.loc["common target", "still_rising"] >= 4
