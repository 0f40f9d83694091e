"""Scores of single test examples, from which the variance due to the choice of test examples is computed.

All seeds of a task are scored on the same examples, so the variance over seeds does not contain this. For a contrast
d_i of one example i (a mean over cells, or a difference of two such means) over n examples, the variance of its mean is
var(d_i) / n; examples of different tasks are independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from petscale.analysis.readings import KNOWLEDGE, PUBLISHED, Reading
from petscale.analysis.tidy import POINTS, RANK
from petscale.artefacts.layout import Layout
from petscale.cells.published import predictions

Examples = Mapping[str, NDArray[np.float64]]  # cell -> points of each test example, in the order of the test set


def example_scores(cells: pd.DataFrame, results_root: Path, reading: Reading = PUBLISHED) -> Examples:
    """Points of each test example of every finished cell in one reading.

    A cell without readable predictions is left out. By knowledge, the examples of a model that writes its answer are
    those of the accuracy by rank.
    """
    layout = Layout(str(results_root))
    found = {}
    done = cells[cells["score"].notna()]
    ranked = (done["chance"] < done["guess"]) & (reading == KNOWLEDGE)
    for cell, by_rank in zip(done["cell"], ranked, strict=True):
        path, name = Path(layout.cell(cell), predictions("test")), RANK if by_rank else "score"
        try:
            column = pyarrow.parquet.read_table(path, columns=[name])[name]
        except (OSError, KeyError, pyarrow.ArrowInvalid):
            continue
        found[cell] = POINTS * column.to_numpy().astype(float)
    return found


def example_variance(sides: Sequence[tuple[pd.DataFrame, int]], tasks: Sequence[str], examples: Examples) -> float:
    """Variance over test examples of a mean over tasks, or of a difference of two, in points squared.

    Args:
        sides: tables of cells with the sign of each in the contrast, such as [(a, 1), (b, -1)].
        tasks: the tasks that the mean is taken over, each with a scored cell on every side.
        examples: points of single examples.

    Returns:
        The variance; NaN if a cell's examples are unknown or if cells of one task were scored on different examples.
    """
    total = 0.0
    for task in tasks:
        contrast: NDArray[np.float64] | None = None
        for frame, sign in sides:
            own = [
                examples.get(cell)
                for cell, where, score in zip(frame["cell"], frame["task"], frame["score"], strict=True)
                if where == task and score == score
            ]
            known = [one for one in own if one is not None]
            sizes = {len(one) for one in known}
            if not own or len(known) < len(own) or len(sizes) > 1 or min(sizes) < 2:
                return float("nan")
            part = sign * np.mean(known, axis=0)
            if contrast is not None and len(contrast) != len(part):
                return float("nan")
            contrast = part if contrast is None else contrast + part
        if contrast is not None:
            total += float(contrast.var(ddof=1)) / len(contrast)
    return total / max(len(tasks), 1) ** 2
