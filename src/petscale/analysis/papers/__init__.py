"""Numbers of the papers, a CSV file for each table."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd


def paper_table(name: str) -> pd.DataFrame:
    """A table of a paper's numbers; `name` gives the paper and its table."""
    with (files("petscale.analysis.papers") / f"{name}.csv").open() as handle:
        return pd.read_csv(handle)
