"""Numbers of the papers, a CSV file for each table."""

from __future__ import annotations

import math
from importlib.resources import files

import pandas as pd

from petscale.analysis.interval import t_quantile


def paper_table(name: str) -> pd.DataFrame:
    """A table of a paper's numbers; `name` gives the paper and its table."""
    with (files("petscale.analysis.papers") / f"{name}.csv").open() as handle:
        return pd.read_csv(handle)


def noise_of(values: pd.Series, theirs: int, confidence: float) -> float:
    """Half the interval that would contain the mean of some further seeds: t(S-1) sd sqrt(1/S + 1/n).

    Args:
        values: scores of this study's S seeds.
        theirs: the n seeds of the paper.
        confidence: two-sided level.

    Returns:
        NaN if there is a single seed.
    """
    seeds = len(values)
    if seeds < 2:
        return math.nan
    return t_quantile(confidence, seeds - 1) * float(values.std()) * math.sqrt(1 / seeds + 1 / theirs)


def within_noise(within: bool, noise: float) -> str:
    """Whether two numbers agree, in words; without an interval nothing can be said."""
    return "no interval" if math.isnan(noise) else "yes" if within else "no"
