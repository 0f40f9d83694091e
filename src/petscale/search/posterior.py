"""What scores at some budgets tell about a monotone curve of score against budget, and about its two thresholds.

Model. The curve starts at the baseline b (budget 0) and its increments are those of a gamma process over log budget:

    f(x_0) = b + G_0,   f(x_k) = f(x_(k-1)) + G_k,   G_k ~ Gamma(alpha (x_k - x_(k-1)) / X, theta),   alpha theta = R

with X the range of log10 budgets and R the distance from baseline to full fine-tuning. Its paths are non-decreasing and
rise by jumps of all sizes, so steps, plateaus and smooth curves are all possible, and nothing is assumed between two
budgets but monotony: a step may lie anywhere there. A cell scores

    y = f(x) + e,   e ~ sigma t_4 with probability 0.95, otherwise y is uniform

where t_4 is Student's t with four degrees of freedom, and the uniform part is that of cells that fail to learn.

Full fine-tuning a has such noise too, with a sigma that is a multiple of that of the cells; that of the baseline b is
its own, since a frozen backbone may score the same with every seed. For given (alpha, sigma, b) the
curve is a Markov chain, so its posterior on a grid of values is exact, by the forward and backward recursions of hidden
Markov models (Rabiner 1989, section III). The unknowns alpha, sigma, b and a are summed over on grids, weighted by how
well they explain the scores.

Thresholds. As f does not decrease, P(low threshold <= x) = P(f(x) >= b + rise) and
P(high threshold <= x) = P(f(x) >= a - margin). Probability that is left at the last budget is that of a threshold
beyond what the method can hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Array = NDArray[np.float64]

STEP = 0.04
"""Distance of neighbouring grid positions in decades: a tenth, or less than a fourth of a factor 1.5."""

_LEVELS = 101  # values of the curve between baseline and the highest score
_STEEPNESS = (1.5, 6.0)  # alpha: about one large jump, or a smooth rise
_START = 0.1  # share of alpha that lies before the first budget
_NOISES = 5  # values of sigma
_FAILED = 0.05  # probability that a score tells nothing of the curve
_TAIL = 4  # degrees of freedom of the noise
_FULL_NOISE = (1 / 16, 1 / 4, 1 / 2, 1.0, 2.0)  # sigma of full fine-tuning in multiples of that of the cells
_GUESS = 2.0  # points; scatter of a reference that has a single cell


@dataclass(frozen=True)
class Scores:
    """Scores in points of the cells of one backbone, task and method, in any order, and of its two references."""

    budgets: Array  # (n,) numbers of trained parameters, whole
    scores: Array  # (n,)
    baseline: Array  # (seeds,) the measured budget-0 score
    full: Array  # (seeds,) full fine-tuning


@dataclass(frozen=True)
class Levels:
    """What defines the thresholds, in points: `rise` above the baseline, `margin` below full fine-tuning."""

    rise: float
    margin: float


@dataclass(frozen=True)
class Crossing:
    """The posterior of one threshold.

    Attributes:
        positions: log10 of the budgets, ascending, shape (k,).
        reached: probability that the threshold is at or below each, non-decreasing, shape (k,).
    """

    positions: Array
    reached: Array

    def quantile(self, probability: float | Array) -> Array:
        """log10 of the budget below which the threshold lies with a probability.

        -inf where that is at or below the first budget, inf where it is beyond the last. Between neighbouring positions
        the probability is interpolated.
        """
        wanted = np.asarray(probability, dtype=float)
        found = np.interp(wanted, self.reached, self.positions)
        found = np.where(wanted <= self.reached[0], -np.inf, found)
        return np.asarray(np.where(wanted > self.reached[-1], np.inf, found))

    def interval(self, confidence: float) -> tuple[float, float]:
        """The interval of `confidence` with equal tails, in log10 of parameters; an open end is infinite."""
        tail = (1 - confidence) / 2
        low, high = self.quantile(np.array([tail, 1 - tail]))
        # An interval that is open at one end contains the first (last) budget itself.
        low = self.positions[-1] if np.isposinf(low) else low
        high = self.positions[0] if np.isneginf(high) else high
        return float(low), float(high)


@dataclass(frozen=True)
class Marginals:
    """Distributions over common values.

    Attributes:
        values: ascending, shape (n,).
        reached: probability of at most each value, shape (k, n).
    """

    values: Array
    reached: Array

    def quantile(self, probability: float | Array, place: int) -> Array:
        """The values that distribution `place` does not exceed with the given probabilities."""
        found = np.searchsorted(self.reached[place], np.asarray(probability))
        return np.asarray(self.values[np.minimum(found, len(self.values) - 1)])


@dataclass(frozen=True)
class Posterior:
    """The curve and its thresholds after some cells.

    Attributes:
        low: the low threshold.
        high: the high threshold.
        curve: mean score at each position, shape (k,).
        scores: distributions of the score at each position.
        full_scores: the distribution of full fine-tuning's score (k is 1).
        learnt: probability that full fine-tuning lies `rise + margin` above the baseline. Otherwise the level of the
            high threshold is below that of the low one.
        baseline: mean of the baseline. full: mean of full fine-tuning.
        noise: mean standard deviation of a cell's score.
    """

    low: Crossing
    high: Crossing
    curve: Array
    scores: Marginals
    full_scores: Marginals
    learnt: float
    baseline: float
    full: float
    noise: float


def positions_of(smallest: int, largest: int, budgets: Array) -> Array:
    """Whole budgets between two, about `STEP` decades apart, and all that were measured; shape (k,), ascending."""
    count = max(2, int(np.ceil(np.log10(largest / smallest) / STEP)) + 1)
    spread = np.round(np.geomspace(smallest, largest, count))
    return np.unique(np.concatenate([[smallest, largest], spread, np.round(budgets)]))


def posterior(found: Scores, levels: Levels, smallest: int, largest: int) -> Posterior:
    """The posterior of the curve and of its thresholds.

    Args:
        found: the scores; at least one of each reference, and perhaps no cell yet.
        levels: what defines the thresholds.
        smallest: first budget that the method can train.
        largest: most parameters that it can hold.

    Raises:
        ValueError: a reference has no score, or the range of budgets is empty.
    """
    if not len(found.baseline) or not len(found.full):
        raise ValueError("a search needs a score of the frozen backbone and one of full fine-tuning")
    if not 1 <= smallest < largest:
        raise ValueError(f"no budgets between {smallest} and {largest}")
    return _Chain(found, levels, positions_of(smallest, largest, found.budgets)).posterior()


class _Chain:
    """The discretised model; arrays have the axes (position, level, sigma, baseline), some of them absent."""

    def __init__(self, found: Scores, levels: Levels, budgets: Array) -> None:
        self.levels, self.budgets, self.x = levels, budgets, np.log10(budgets)
        self.rise = max(float(found.full.mean() - found.baseline.mean()), levels.rise + levels.margin)
        baselines = _nodes(found.baseline, 7)
        top = max(*found.scores, *found.full, found.baseline.mean() + self.rise) - baselines[0]
        self.h = np.linspace(0.0, top + 0.2 * self.rise, _LEVELS)
        self.width = float(self.h[1])
        self.sigma = np.geomspace(self.width / 2, self.h[-1] / 4, _NOISES)
        self.b, self.a = baselines, _nodes(found.full, 41)
        self.log_b = _log_baseline(found.baseline, self.b)  # (b,)
        self.log_a = _log_full(found.full, self.a, self.sigma)  # (sigma, a)
        value = self.b + self.h[:, None, None]  # (level, 1, b)
        self.log_y: dict[int, Array] = {}  # place -> (level, sigma, b), where there are cells
        for budget, score in zip(np.round(found.budgets), found.scores, strict=True):
            place = int(np.searchsorted(budgets, budget))
            self.log_y[place] = self.log_y.get(place, 0.0) + self._log_score(score - value)

    def _log_score(self, deviation: Array) -> Array:
        """Log density of a cell's score, shape (level, sigma, b), from its deviation, shape (level, 1, b)."""
        learnt = np.log1p(-_FAILED) + _log_t(deviation, self.sigma[:, None])
        return np.asarray(np.logaddexp(learnt, np.log(_FAILED / self.h[-1])))

    def posterior(self) -> Posterior:
        """Sum over steepness, noise and baseline; every sum over the full score is within `_high`."""
        parts = [self._curve(alpha) for alpha in _STEEPNESS]
        evidence = np.stack([log for _, log in parts])  # (alpha, sigma, b)
        evidence = evidence + self.log_b + special.logsumexp(self.log_a, axis=1)[:, None]
        weight = np.exp(evidence - special.logsumexp(evidence))
        joint = sum(part * each for (part, _), each in zip(parts, weight, strict=True))  # (k, level, sigma, b)
        assert not isinstance(joint, int)
        p_a = np.exp(self.log_a - special.logsumexp(self.log_a, axis=1, keepdims=True))  # (sigma, a)
        sum_b = weight.sum(axis=0)  # (sigma, b)
        gap = self.a[:, None] - self.b[None, :]  # (a, b)
        total = self.levels.rise + self.levels.margin
        value = self.b + self.h[:, None]  # (level, b)
        by_value = joint.sum(axis=2)  # (k, level, b)
        low = np.einsum("kl,l->k", by_value.sum(axis=2), self._above(np.array(self.levels.rise)))
        high = np.einsum("klsb,lsb->k", joint, self._high(p_a, gap))
        return Posterior(
            low=Crossing(self.x, _rising(low)),
            high=Crossing(self.x, _rising(high)),
            curve=np.einsum("klb,lb->k", by_value, value),
            scores=_marginals(by_value.reshape(len(self.x), -1), value.ravel()),
            full_scores=_marginals((sum_b.sum(axis=1) @ p_a)[None, :], self.a),
            learnt=float(np.einsum("sb,sa,ab->", sum_b, p_a, (gap >= total).astype(float))),
            baseline=float(sum_b.sum(axis=0) @ self.b),
            full=float(np.einsum("s,sa,a->", sum_b.sum(axis=1), p_a, self.a)),
            noise=float(sum_b.sum(axis=1) @ self.sigma * np.sqrt(_TAIL / (_TAIL - 2))),
        )

    def _curve(self, alpha: float) -> tuple[Array, Array]:
        """P(level | scores) at each position, and the log evidence, for each sigma and baseline."""
        theta = self.rise / alpha
        spread = (self.x[-1] - self.x[0]) / (1 - _START)
        shapes = alpha * np.concatenate([[_START], np.diff(self.x) / spread])
        edges = (self.h + self.width / 2) / theta
        below = special.gammainc(shapes[:, None], edges)  # (k, level)
        moves = _transitions(np.diff(below, axis=1, prepend=0.0))
        k, shape = len(self.x), (_NOISES, len(self.b))
        columns = _NOISES * len(self.b)
        # Scores are divided by the best of their levels, which only the evidence has to know.
        best = {place: log.max(axis=0) for place, log in self.log_y.items()}
        seen = {place: np.exp(log - best[place]).reshape(_LEVELS, columns) for place, log in self.log_y.items()}
        evidence = np.zeros(shape) + sum(best.values())
        forward = np.empty((k, _LEVELS, columns))
        state = np.repeat(moves[0][:, :1], columns, axis=1)
        for place in range(k):
            state = moves[place] @ state if place else state
            if place in seen:
                state = state * seen[place]
                total = state.sum(axis=0)
                state /= total
                evidence += np.log(total).reshape(shape)
            forward[place] = state
        backward = np.ones((_LEVELS, columns))
        for place in range(k - 1, 0, -1):
            if place in seen:
                backward = backward * seen[place]
                backward /= backward.max(axis=0)
            backward = moves[place].T @ backward
            forward[place - 1] *= backward
        forward /= forward.sum(axis=1, keepdims=True)
        return forward.reshape(k, _LEVELS, *shape), evidence

    def _above(self, level: Array) -> Array:
        """Share of the cell around each level of the grid that lies above `level`; axes (level, *level.shape)."""
        h = self.h.reshape(-1, *(1,) * level.ndim)
        return np.clip((h - level) / self.width + 0.5, 0.0, 1.0)

    def _high(self, p_a: Array, gap: Array) -> Array:
        """P(full - margin is reached) for each level, sigma and baseline."""
        reached = self._above(gap - self.levels.margin)  # (level, a, b)
        return np.asarray(np.einsum("lab,sa->lsb", reached, p_a))


def _marginals(mass: Array, values: Array) -> Marginals:
    """Distributions from probabilities, shape (k, n), of values in any order."""
    order = np.argsort(values)
    return Marginals(values[order], _rising(np.cumsum(mass[:, order], axis=1)))


def _spread(values: Array) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else _GUESS


def _nodes(values: Array, count: int) -> Array:
    """Values that a reference's true score may have: one if all its cells agree, otherwise several around the mean."""
    half = 4 * _spread(values) / np.sqrt(len(values))
    return np.asarray(values.mean() + np.linspace(-half, half, count if half else 1))


def _log_baseline(values: Array, nodes: Array) -> Array:
    """Log density of the true baseline at the nodes: Student's t around the mean, with a flat prior."""
    if len(nodes) == 1:
        return np.zeros(1)
    error = _spread(values) / np.sqrt(len(values))
    return np.asarray(stats.t.logpdf((nodes - values.mean()) / error, len(values) - 1 or _TAIL))


def _log_full(values: Array, nodes: Array, sigma: Array) -> Array:
    """Log likelihood of full fine-tuning's scores, shape (sigma, node), summed over multiples of sigma.

    Scores that all agree say nothing about the noise of other cells.
    """
    if len(nodes) == 1:
        return np.zeros((len(sigma), 1))
    scales = sigma[:, None] * np.array(_FULL_NOISE)  # (sigma, multiple)
    log = _log_t(values - nodes[:, None, None, None], scales[..., None]).sum(axis=-1)  # (node, sigma, multiple)
    return np.asarray(special.logsumexp(log, axis=2) - np.log(len(_FULL_NOISE))).T


def _log_t(deviation: Array, scale: Array) -> Array:
    """Log density of Student's t with `_TAIL` degrees of freedom, scaled."""
    constant = special.gammaln((_TAIL + 1) / 2) - special.gammaln(_TAIL / 2) - np.log(_TAIL * np.pi) / 2
    return np.asarray(constant - (_TAIL + 1) / 2 * np.log1p((deviation / scale) ** 2 / _TAIL) - np.log(scale))


def _transitions(jump: Array) -> Array:
    """Probabilities to go from one level (last axis) to another (second axis); jumps past the top end there.

    Args:
        jump: probability of a jump by each number of levels, shape (k, level).
    """
    size = jump.shape[1]
    distance = np.arange(size)[:, None] - np.arange(size)
    padded = np.concatenate([jump, np.zeros((len(jump), 1))], axis=1)
    matrix = padded[:, np.where(distance >= 0, distance, size)]
    matrix[:, -1] = 1.0 - matrix[:, :-1].sum(axis=1)
    return np.asarray(matrix)


def _rising(probability: Array) -> Array:
    """Without the rounding errors that would let a distribution function fall."""
    return np.maximum.accumulate(np.clip(probability, 0.0, 1.0), axis=-1)
