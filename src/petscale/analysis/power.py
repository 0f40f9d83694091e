"""Which difference a study of a given size can detect; `petscale plan` prints it before anything runs."""

from __future__ import annotations

import math

from scipy import stats

from petscale.analysis.interval import t_quantile


def detectable_difference(
    seeds: int, tasks: int, sd: float, *, confidence: float = 0.95, power: float = 0.8, shared: float = 0.0
) -> float:
    """Smallest true paired difference of two methods, as a mean over tasks, that the interval test finds.

    The test is that of `interval.mean_over_tasks` on paired differences: a t test with seeds - 1 degrees of freedom.
    The paired difference of one task and seed has standard deviation sqrt(2) sd; the mean over tasks of one seed has

        sigma = sqrt(2) sd sqrt((1 + (tasks - 1) shared) / tasks)

    and the answer d solves P(|T| > t) = power for T noncentral t with mean d sqrt(seeds) / sigma.

    Args:
        seeds: training seeds of each cell.
        tasks: tasks the mean is taken over.
        sd: standard deviation over seeds of one cell's score, in points.
        confidence: level of the test.
        power: chance of finding the difference.
        shared: correlation of the tasks of one seed.

    Returns:
        The difference in the units of `sd`; infinite with one seed, which gives no interval.

    Raises:
        ValueError: `tasks` < 1, `sd` < 0 or a probability outside (0, 1).
    """
    if tasks < 1 or sd < 0 or not (0 < confidence < 1 and 0 < power < 1 and 0 <= shared <= 1):
        raise ValueError("tasks >= 1, sd >= 0, 0 < confidence, power < 1 and 0 <= shared <= 1 are needed")
    if seeds < 2:
        return math.inf
    sigma = math.sqrt(2) * sd * math.sqrt((1 + (tasks - 1) * shared) / tasks)
    critical = t_quantile(confidence, seeds - 1)

    def found(effect: float) -> float:
        tail = stats.nct.sf(critical, seeds - 1, effect) + stats.nct.cdf(-critical, seeds - 1, effect)
        return float(tail)

    low, high = 0.0, 1.0
    while found(high) < power:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if found(middle) < power else (low, middle)
    return high * sigma / math.sqrt(seeds)
