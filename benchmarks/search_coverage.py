"""Threshold search: coverage of its intervals and its error, compared with grids of budgets, on curves of known shape.

    python benchmarks/search_coverage.py

The truths do not come from the model that the search fits: logistic curves of any steepness, steps, curves with a
plateau half-way, and such plateaus with smooth edges. Midpoints are uniform in log budget over 10^0.7 to 10^5.3, so
they lie on no grid. Cells score with no noise, normal noise (SD 2 points), or Student's t with two degrees of freedom
times 1.5, whose variance is infinite. Baseline and full fine-tuning are measured with three cells of such noise.

First table: searches of at most 12 cells in rounds of three, with nominal 95 % intervals. Second table: root mean
square error in decades over all truths with normal noise, also of the sweeps that petscale analyses otherwise (budgets
at equal distances in log budget, three seeds, monotone fit, linear interpolation). Both count censored estimates as the
end of the range. Seeds are fixed. 100 searches a row took a quarter of an hour on a half-idle core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from petscale.analysis.sweep import Sweep, fit_sweep
from petscale.search.posterior import Crossing, Levels
from petscale.search.rule import Decision, Rule, Trial, decide

Array = NDArray[np.float64]

RULE = Rule(Levels(rise=5.0, margin=3.0), factor=1.5, cells=12, smallest=1, largest=10**6, confidence=0.95)
REFERENCES = 3
SEEDS = (1, 2, 3)
FINE = np.linspace(0.0, 6.0, 60_001)
SHAPES = ("logistic", "step", "plateau", "smooth plateau")
NOISES = ("none", "normal", "heavy")


@dataclass(frozen=True)
class Truth:
    """A curve of the score against log10 budget, with its baseline and full fine-tuning."""

    curve: Callable[[Array], Array]
    baseline: float
    full: float

    def thresholds(self) -> tuple[float, float]:
        """True low and high threshold; inf where the curve does not reach the level in the range."""
        values = self.curve(FINE)
        levels = (self.baseline + RULE.levels.rise, self.full - RULE.levels.margin)
        low, high = (float(FINE[(values >= y).argmax()]) if (values >= y).any() else np.inf for y in levels)
        return low, high


def draw_truth(shape: str, generator: np.random.Generator) -> Truth:
    """A random curve of a shape: baseline 0 to 60, full fine-tuning 25 to 40 points above it."""
    b = generator.uniform(0, 60)
    rise = generator.uniform(25, 40)
    first = generator.uniform(0.7, 5.3)
    second = generator.uniform(first, 5.8)
    share = generator.uniform(0.3, 0.7)
    width = generator.uniform(0.05, 0.4)

    def smooth(x: Array, middle: float, scale: float) -> Array:
        return np.asarray(1 / (1 + np.exp(-(x - middle) / scale)))

    curves: dict[str, Callable[[Array], Array]] = {
        "logistic": lambda x: b + (rise + 1) * smooth(x, first, width),
        "step": lambda x: b + rise * (x >= first),
        "plateau": lambda x: b + rise * (share * (x >= first) + (1 - share) * (x >= second)),
        "smooth plateau": lambda x: b + (rise + 0.5) * (
            share * smooth(x, first, 0.1) + (1 - share) * smooth(x, second, 0.1)
        ),
    }  # fmt: skip
    return Truth(curves[shape], b, b + rise)


def draw_noise(kind: str, generator: np.random.Generator, size: int) -> Array:
    """Noise of `size` cells in points."""
    if kind == "none":
        return np.zeros(size)
    return generator.normal(0, 2, size) if kind == "normal" else 1.5 * generator.standard_t(2, size)


def search(truth: Truth, noise: str, generator: np.random.Generator, rule: Rule = RULE) -> tuple[Decision, int]:
    """Run a search on a truth; returns the last decision and the number of cells."""
    baseline = truth.baseline + draw_noise(noise, generator, REFERENCES)
    full = truth.full + draw_noise(noise, generator, REFERENCES)
    trials: list[Trial] = []
    while True:
        decision = decide(rule, trials, list(baseline), list(full), SEEDS)
        if decision.ended:
            return decision, len(trials)
        for seed, budget in decision.budgets.items():
            score = truth.curve(np.log10([budget]))[0] + draw_noise(noise, generator, 1)[0]
            trials.append(Trial(seed, budget, float(score)))


def covers(found: Crossing, truth: float) -> bool:
    """Whether the nominal 95 % interval contains the true threshold; beyond the range it must be open."""
    low, high = found.interval(RULE.confidence)
    return bool(low <= truth <= high)


def error(estimate: float, truth: float) -> float:
    """Difference in decades, both counted as the end of the range where they are beyond it."""
    return float(np.clip(estimate, 0, 6) - np.clip(truth, 0, 6))


def grid_errors(truth: Truth, budgets: int, generator: np.random.Generator) -> tuple[float, float]:
    """Errors of low and high threshold of a sweep over the same range with normal noise, three cells a budget."""
    x = np.linspace(0.0, 6.0, budgets)
    shape = (budgets, REFERENCES)
    scores = truth.curve(x)[:, None] + draw_noise("normal", generator, budgets * REFERENCES).reshape(shape)
    ends = [level + draw_noise("normal", generator, REFERENCES) for level in (truth.baseline, truth.full)]
    fit = fit_sweep(Sweep(10**x, scores, *ends, holes=np.zeros(budgets - 1, bool)), 2, generator)
    low, high = fit.low_threshold(RULE.levels.rise), fit.high_threshold(RULE.levels.margin)
    true = truth.thresholds()
    return error(low.point, true[0]), error(high.point, true[1])


def rows(searches: int) -> Iterator[tuple[str, str, Array]]:
    """For each shape and noise: covered and error of low, then of high, then cells; shape (searches, 5)."""
    for shape in SHAPES:
        for noise in NOISES:
            generator = np.random.default_rng([SHAPES.index(shape), NOISES.index(noise)])
            found = []
            for _ in range(searches):
                truth = draw_truth(shape, generator)
                decision, cells = search(truth, noise, generator)
                low, high = truth.thresholds()
                ends = ((decision.posterior.low, low), (decision.posterior.high, high))
                told = [value for c, t in ends for value in (covers(c, t), error(float(c.quantile(0.5)), t))]
                found.append([*told, cells])
            yield shape, noise, np.array(found, dtype=float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=100, help="searches of each shape and noise")
    searches: int = parser.parse_args().searches
    began = time.monotonic()
    print(f"{'truth':15} {'noise':7} {'cells':>5}  {'covers low':>10} {'high':>5}  {'rms error low':>13} {'high':>5}")
    normal = []
    for shape, noise, found in rows(searches):
        covered, rms = found[:, [0, 2]].mean(axis=0), np.sqrt((found[:, [1, 3]] ** 2).mean(axis=0))
        print(
            f"{shape:15} {noise:7} {found[:, 4].mean():5.1f}  {covered[0]:10.3f} {covered[1]:5.3f}"
            f"  {rms[0]:13.3f} {rms[1]:5.3f}",
            flush=True,
        )
        normal += [found] if noise == "normal" else []
    every = np.concatenate(normal)
    low, high = np.sqrt((every[:, [1, 3]] ** 2).mean(axis=0))
    print(f"\nnormal noise, all truths{'':9} {'cells':>5}  {'rms error low':>13} {'high':>5}")
    print(f"{'search':33} {every[:, 4].mean():5.1f}  {low:13.3f} {high:5.3f}")
    for budgets in (4, 8, 11, 16):
        generator = np.random.default_rng(budgets)
        errors = [
            grid_errors(draw_truth(shape, generator), budgets, generator)
            for shape in SHAPES
            for _ in range(max(searches, 200))
        ]
        low, high = np.sqrt(np.mean(np.square(errors), axis=0))
        print(f"{f'grid of {budgets} budgets':33} {budgets * REFERENCES:5}  {low:13.3f} {high:5.3f}")
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
