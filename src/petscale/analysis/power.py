"""The smallest difference that a study of a given size can detect; `petscale plan` prints it before anything runs."""

from __future__ import annotations

import math

from scipy import stats

from petscale.analysis.interval import t_quantile


def detectable_difference(
    seeds: int,
    tasks: int,
    sd: float,
    *,
    confidence: float = 0.95,
    power: float = 0.8,
    shared: float = 0.0,
    examples: float = 0.0,
) -> float:
    """Smallest true paired difference of two methods, as a mean over tasks, that the interval test detects.

    The test is that of `interval.mean_over_tasks` on paired differences. The paired difference of one task and seed
    has standard deviation sqrt(2) sd; the mean over tasks of one seed has

        sigma = sqrt(2) sd sqrt((1 + (tasks - 1) shared) / tasks)

    and with v = sigma^2 / seeds and se^2 = v + examples the answer d solves P(|T| > t) = power for T noncentral t with
    mean d / se and (seeds - 1) (se^2 / v)^2 degrees of freedom.

    Args:
        seeds: training seeds of each cell.
        tasks: tasks the mean is taken over.
        sd: standard deviation over seeds of one cell's score, in points.
        confidence: level of the test.
        power: chance of finding the difference.
        shared: correlation of the tasks of one seed.
        examples: variance of the mean difference over random choices of the test examples (`of_examples`).

    Returns:
        The difference in the units of `sd`; infinite with one seed, which gives no interval.

    Raises:
        ValueError: `tasks` < 1, `sd` < 0 or a probability outside (0, 1).
    """
    if tasks < 1 or sd < 0 or not (0 < confidence < 1 and 0 < power < 1 and 0 <= shared <= 1):
        raise ValueError("tasks >= 1, sd >= 0, 0 < confidence, power < 1 and 0 <= shared <= 1 are needed")
    if seeds < 2:
        return math.inf
    shown = 2 * sd**2 * (1 + (tasks - 1) * shared) / tasks / seeds
    se = math.sqrt(shown + examples)
    if se == 0:
        return 0.0
    # With more than some thousand degrees of freedom the quantiles are those of the normal distribution.
    degrees = min((seeds - 1) * (se**2 / shown) ** 2, 1e4) if shown else 1e4
    critical = t_quantile(confidence, degrees)

    def found(effect: float) -> float:
        return float(stats.nct.sf(critical, degrees, effect) + stats.nct.cdf(-critical, degrees, effect))

    low, high = 0.0, 1.0
    while found(high) < power:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if found(middle) < power else (low, middle)
    return high * se


def of_examples(tasks: int, rows: int, right: float = 0.8) -> float:
    """Variance, in points squared, of the mean difference of two methods over random choices of `rows` test examples.

    Both methods are taken to be right on the share `right` of the examples of each task, independently of each other,
    which gives 2 p (1 - p) for one example. The variance is smaller if they err on the same examples.
    """
    return 100.0**2 * 2 * right * (1 - right) / rows / tasks
