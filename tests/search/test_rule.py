"""The next budgets and the end of a search."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import log10

import numpy as np
import pytest

from petscale.search.posterior import Levels
from petscale.search.rule import Decision, Rule, Trial, decide

RULE = Rule(Levels(5.0, 3.0), factor=1.5, cells=12, smallest=1, largest=10**5, confidence=0.95)
BASELINE, FULL = [50.0, 50.0, 50.0], [80.0, 80.0, 80.0]


def step_at(budget: int) -> Callable[[int], float]:
    return lambda each: 80.0 if each >= budget else 50.0


def run(rule: Rule, curve: Callable[[int], float], seeds: Sequence[int] = (1, 2, 3)) -> tuple[list[Trial], Decision]:
    trials: list[Trial] = []
    while not (decision := decide(rule, trials, BASELINE, FULL, seeds)).ended:
        trials += [Trial(seed, budget, curve(budget)) for seed, budget in decision.budgets.items()]
    return trials, decision


def test_a_step_is_found_within_the_factor() -> None:
    trials, last = run(RULE, step_at(700))
    assert last.ended == "known"
    assert len(trials) <= 12
    for threshold in (last.posterior.low, last.posterior.high):
        low, high = threshold.interval(0.95)
        assert low <= log10(700) <= high
        assert high - low <= log10(1.5)


def test_the_order_of_results_changes_nothing() -> None:
    """Parallel cells end in any order, and a folder lists them in any order."""
    trials = [Trial(seed, budget, step_at(300)(budget) + seed) for seed in (1, 2) for budget in (10, 200, 400, 9_000)]
    decisions = []
    for draw in range(3):
        random.Random(draw).shuffle(trials)
        decisions.append(decide(RULE, trials, [49.0, 50.5, 51.0][:: 1 - 2 * (draw % 2)], FULL, (1, 2, 3)).budgets)
    assert decisions[0] == decisions[1] == decisions[2]


def test_no_cell_is_asked_for_twice() -> None:
    """Small budgets are few: with a threshold below 4 the same ones come up again, with other seeds or not at all."""
    rule = Rule(Levels(5.0, 3.0), factor=1.01, cells=24, smallest=1, largest=8, confidence=0.95)
    noise = np.random.default_rng(0)
    trials: list[Trial] = []
    while not (decision := decide(rule, trials, BASELINE, FULL, (1, 2, 3))).ended:
        for seed, budget in decision.budgets.items():
            assert (seed, budget) not in {(trial.seed, trial.budget) for trial in trials}
            assert 1 <= budget <= 8
            trials.append(Trial(seed, budget, step_at(3)(budget) + noise.normal(0, 8)))
    assert len(trials) <= 24


def test_neighbouring_whole_budgets_are_known() -> None:
    """Between 2 and 3 there is no budget, although they differ by more than a factor of 1.2."""
    rule = Rule(Levels(5.0, 3.0), factor=1.2, cells=60, smallest=1, largest=1_000, confidence=0.95)
    _, last = run(rule, step_at(3))
    assert last.ended == "known"


def test_the_cap_counts_cells_and_cuts_the_last_round() -> None:
    rule = Rule(Levels(5.0, 3.0), factor=1.0001, cells=7, smallest=1, largest=10**6, confidence=0.95)
    trials, last = run(rule, step_at(700))
    assert (len(trials), last.ended) == (7, "cap")


def test_seeds_take_turns_where_a_round_is_cut_short() -> None:
    """Two seeds at most remain under the cap of five: those after the last that had a cell."""
    rule = Rule(Levels(5.0, 3.0), factor=1.0001, cells=5, smallest=1, largest=10**6, confidence=0.95)
    trials, _ = run(rule, step_at(700))
    assert [trial.seed for trial in trials] == [1, 2, 3, 1, 2]


def test_a_task_that_full_tuning_has_not_learnt_costs_no_cell() -> None:
    decision = decide(RULE, [], BASELINE, [57.0, 57.5, 57.9], (1, 2, 3))
    assert (decision.budgets, decision.ended) == ({}, "not learnt")


def test_thresholds_at_the_ends_of_the_range_end_the_search() -> None:
    for curve in (step_at(1), step_at(10**9)):
        trials, last = run(RULE, curve)
        assert last.ended == "known"
        assert len(trials) < 12


def test_the_end_of_the_range_is_tested_before_a_threshold_is_called_beyond_it() -> None:
    """A step just before the last budget is unlikely beforehand, and must be found all the same."""
    trials, last = run(RULE, step_at(80_000))
    assert any(trial.budget == RULE.largest for trial in trials)
    low, high = last.posterior.high.interval(0.95)
    assert low <= log10(80_000) <= high


def test_cells_go_where_less_is_known() -> None:
    """The low threshold is bracketed by 100 and 110; only the high one is left, between 200 and 90,000."""
    near = [Trial(1, 100, 50.0), Trial(2, 100, 50.0), Trial(1, 110, 65.0), Trial(2, 110, 65.0)]
    far = [Trial(1, 200, 65.0), Trial(2, 200, 65.0), Trial(1, 90_000, 80.0), Trial(2, 90_000, 80.0)]
    decision = decide(RULE, near + far, BASELINE, FULL, (1, 2, 3))
    assert all(200 < budget < 90_000 for budget in decision.budgets.values())


def test_a_diverged_cell_counts_and_tells_nothing() -> None:
    rest = [Trial(1, 10, 50.0), Trial(3, 50_000, 80.0)]
    without, with_it = (
        decide(RULE, trials, BASELINE, FULL, (1, 2, 3)) for trials in (rest, [*rest, Trial(2, 1_000, None)])
    )
    np.testing.assert_array_equal(without.posterior.curve, with_it.posterior.curve)
    small = Rule(RULE.levels, RULE.factor, 3, RULE.smallest, RULE.largest, RULE.confidence)
    assert decide(small, [*rest, Trial(2, 1_000, None)], BASELINE, FULL, (1, 2, 3)).ended == "cap"


@pytest.mark.parametrize("score", [0.0, 100.0])
def test_wild_scores_do_not_break_the_numbers(score: float) -> None:
    """Nothing is learnt at one budget, or it even beats full fine-tuning."""
    trials = [Trial(1, 10, 50.0), Trial(2, 1_000, score), Trial(3, 50_000, 80.0)]
    decision = decide(RULE, trials, BASELINE, FULL, (1, 2, 3))
    assert decision.ended is None
    assert np.isfinite(decision.posterior.curve).all()
