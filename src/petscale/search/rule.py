"""Which budgets to train next, and when to stop: probabilistic bisection over rounds of parallel cells.

The next budget is the median of the posterior of a threshold, where a cell tells most about the side on which the
threshold lies (Horstein 1963; Waeber, Frazier and Henderson 2013). If a round has m cells for one threshold, they
divide its posterior into m + 1 equal parts. Cells go to the threshold that is known least.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil, floor, log10

import numpy as np

from petscale.search.posterior import Crossing, Levels, Posterior, Scores, posterior
from petscale.search.record import Ending


@dataclass(frozen=True)
class Rule:
    """The settings of a search.

    Attributes:
        levels: what defines the two thresholds.
        factor: a threshold is known when the ends of its interval differ by at most this factor.
        cells: most cells of a search.
        smallest: first budget that the method can train on the backbone.
        largest: most parameters that it can hold there.
        confidence: of the intervals.
    """

    levels: Levels
    factor: float
    cells: int
    smallest: int
    largest: int
    confidence: float


@dataclass(frozen=True)
class Trial:
    """A cell of a search: its seed, its budget, and its score in points; None if it diverged, which tells nothing."""

    seed: int
    budget: int
    score: float | None


@dataclass(frozen=True)
class Decision:
    """What follows from the results so far: budgets of the next round, one for each seed, or the reason to end."""

    budgets: dict[int, int]  # seed -> budget; empty at the end
    ended: Ending | None
    posterior: Posterior


def decide(
    rule: Rule, trials: Sequence[Trial], baseline: Sequence[float], full: Sequence[float], seeds: Sequence[int]
) -> Decision:
    """Decide on the next round of a search; equal results give equal decisions, in whatever order they come.

    Args:
        rule: the settings.
        trials: the cells of all rounds before.
        baseline: scores of the frozen backbone in points.
        full: scores of full fine-tuning in points.
        seeds: a cell of the next round is trained with each of them, as far as the cap allows.
    """
    scored = sorted((trial.budget, trial.score) for trial in trials if trial.score is not None)
    found = Scores(
        budgets=np.array([budget for budget, _ in scored], dtype=float),
        scores=np.array([score for _, score in scored], dtype=float),
        baseline=np.sort(np.array(baseline, dtype=float)),
        full=np.sort(np.array(full, dtype=float)),
    )
    state = posterior(found, rule.levels, rule.smallest, rule.largest)
    # The same condition as that of the analysis, which gives no high threshold then.
    if found.full.mean() - found.baseline.mean() < rule.levels.rise + rule.levels.margin:
        return Decision({}, "not learnt", state)
    tested = any(budget * rule.factor >= rule.largest for budget, _ in scored)
    unknown = [each for each in (state.low, state.high) if not is_known(each, rule, tested)]
    if not unknown:
        return Decision({}, "known", state)
    room = min(len(seeds), rule.cells - len(trials))
    if room < 1:
        return Decision({}, "cap", state)
    # Seeds take turns, so that none has all the cells at one threshold.
    turn = len(trials) % len(seeds)
    chosen = sorted([*seeds[turn:], *seeds[:turn]][:room], key=list(seeds).index)
    taken = {(trial.seed, trial.budget) for trial in trials}
    return Decision(_budgets(_places(unknown, rule, room, tested), chosen, taken, rule), None, state)


def is_known(threshold: Crossing, rule: Rule, tested: bool) -> bool:
    """Whether the ends of the interval differ by at most the factor, or are neighbouring whole numbers.

    An open end counts as the first (last) budget that can be trained, since nothing can be known beyond. But no
    threshold is called beyond the last budget before that was `tested`: a rise just before it is unlikely beforehand,
    and would be missed.
    """
    low, high = _inside(threshold, rule)
    if not tested and threshold.reached[-1] < rule.confidence:
        return False
    return high - low <= log10(rule.factor) or floor(10**low + 1e-9) + 1 >= ceil(10**high - 1e-9)


def _inside(threshold: Crossing, rule: Rule) -> tuple[float, float]:
    low, high = threshold.interval(rule.confidence)
    return max(low, log10(rule.smallest)), min(high, log10(rule.largest))


def _width(threshold: Crossing, rule: Rule) -> float:
    low, high = _inside(threshold, rule)
    return high - low


def _places(unknown: Sequence[Crossing], rule: Rule, room: int, tested: bool) -> list[float]:
    """log10 of `room` budgets that divide the posteriors of the unknown thresholds, the least known one's first.

    One of them is the last budget, if a threshold may lie beyond it and it is not `tested` yet.
    """
    if not tested and any(threshold.reached[-1] < rule.confidence for threshold in unknown):
        return [log10(rule.largest), *_places(unknown, rule, room - 1, True)]
    ordered = sorted(unknown, key=lambda threshold: -_width(threshold, rule))  # stable: the low one first where equal
    shares = [room // len(ordered) + (place < room % len(ordered)) for place in range(len(ordered))]
    places: list[float] = []
    for threshold, share in zip(ordered, shares, strict=True):
        # Given that there is a threshold in the range: where it would be says most, also on whether there is one.
        places += [float(threshold.quantile(threshold.reached[-1] * (part + 1) / (share + 1))) for part in range(share)]
    return places


def _budgets(
    places: Sequence[float], seeds: Sequence[int], taken: Collection[tuple[int, int]], rule: Rule
) -> dict[int, int]:
    used = set(taken)
    found: dict[int, int] = {}
    for seed, place in zip(seeds, places, strict=True):
        # Three digits are more than enough, and hide differences in the last bits between machines.
        exact = 10 ** float(np.clip(place, log10(rule.smallest), log10(rule.largest)))
        wanted = min(max(int(float(f"{exact:.3g}")), rule.smallest), rule.largest)
        found[seed] = _nearest_free(wanted, seed, used, rule)
        used.add((seed, found[seed]))
    return found


def _nearest_free(wanted: int, seed: int, used: Collection[tuple[int, int]], rule: Rule) -> int:
    """The budget nearest to `wanted` that this seed has not trained yet, since the same cell tells nothing new."""
    for distance in count():
        for budget in (wanted - distance, wanted + distance):
            if rule.smallest <= budget <= rule.largest and (seed, budget) not in used:
                return budget
        if distance > rule.largest - rule.smallest:
            return wanted  # it has trained them all
    raise AssertionError("unreachable")
