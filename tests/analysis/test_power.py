"""The difference that `petscale plan` promises to detect is the one that the test detects."""

from __future__ import annotations

import math

import numpy as np
import pytest

from petscale.analysis.interval import mean_over_tasks
from petscale.analysis.power import detectable_difference, of_examples


@pytest.mark.parametrize(("seeds", "tasks", "shared"), [(3, 5, 0.0), (5, 5, 0.3), (5, 11, 0.0)])
def test_it_is_found_four_times_of_five(seeds: int, tasks: int, shared: float) -> None:
    generator = np.random.default_rng(seeds + tasks)
    effect = detectable_difference(seeds, tasks, 1.5, shared=shared)
    found, draws = 0, 600
    for _ in range(draws):
        sides = [
            1.5
            * (
                math.sqrt(shared) * generator.normal(size=(1, seeds))
                + math.sqrt(1 - shared) * generator.normal(size=(tasks, seeds))
            )
            for _ in range(2)
        ]
        estimate = mean_over_tasks(effect + sides[0] - sides[1])
        found += estimate.low > 0 or estimate.high < 0
    assert found / draws == pytest.approx(0.8, abs=0.06)


def test_test_examples_count_too() -> None:
    """Two methods are compared on 100 new test rows of each of two tasks, and the seeds vary too."""
    generator, seeds, tasks, rows, right = np.random.default_rng(0), 5, 2, 100, 0.8
    further = of_examples(tasks, rows, right)
    effect = detectable_difference(seeds, tasks, 1.5, examples=further)
    found, draws = 0, 600
    for _ in range(draws):
        sampled = 100 * (generator.binomial(rows, right, (2, tasks, 1)) / rows - right)
        one, two = sampled + 1.5 * generator.normal(size=(2, tasks, seeds))
        estimate = mean_over_tasks(effect + one - two, further=further)
        found += estimate.low > 0 or estimate.high < 0
    assert found / draws == pytest.approx(0.8, abs=0.06)


def test_more_seeds_find_less() -> None:
    found = [detectable_difference(seeds, 5, 1.0) for seeds in (2, 3, 5, 10)]
    assert found == sorted(found, reverse=True)


def test_one_seed_finds_nothing() -> None:
    assert detectable_difference(1, 5, 1.0) == math.inf


@pytest.mark.parametrize("wrong", [{"tasks": 0}, {"sd": -1.0}, {"power": 1.0}, {"shared": 2.0}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needed"):
        detectable_difference(**{"seeds": 3, "tasks": 5, "sd": 1.0, **wrong})  # type: ignore[arg-type]
