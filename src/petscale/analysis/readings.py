"""The two readings of a score on tasks whose answers a model writes: as published, and by knowledge.

A model that generates its answer (T5) has an exact match of 0 until it writes label words at all. A method that makes
it write any label thus gains 50 points on two classes without knowing an answer. Each claim is therefore decided twice:

    as published  the task's main metric, as the paper has it: exact match, F1 or ROUGE
    by knowledge  tasks with labels: accuracy of the most probable label, which guessing brings to 100/classes
                  free text: the main metric minus that of the frozen backbone

On BERT, whose head always answers with a class, both readings of a task with labels are the same number.
"""

from __future__ import annotations

from typing import Literal

import pandas as pd

from petscale.analysis.tidy import RANK

Reading = Literal["as published", "by knowledge"]
PUBLISHED: Reading = "as published"
KNOWLEDGE: Reading = "by knowledge"
READINGS: tuple[Reading, ...] = (PUBLISHED, KNOWLEDGE)
MEANING: dict[Reading, str] = {
    PUBLISHED: "scores as in the paper: exact match, F1 or ROUGE of what the model writes, so that writing a label "
    "counts even where the label is guessed",
    KNOWLEDGE: "what the model knows: accuracy of the most probable label, and F1 or ROUGE above the frozen backbone, "
    "so that writing a label without knowing which one counts nothing",
}


def read_cells(cells: pd.DataFrame, reading: Reading) -> pd.DataFrame:
    """A tidy table in one reading.

    Returns:
        The table with `score` in points of the reading (it may be negative by knowledge of free text), `chance` as the
        score of a cell that has learnt nothing, and the column `floor`: a measured baseline below it counts as it.
    """
    if reading == PUBLISHED:
        return cells.assign(floor=0.0)
    labels = cells["guess"] > 0
    generated = labels & (cells["chance"] < cells["guess"])
    frozen = cells[(cells["method"] == "frozen") & ~labels & ~cells["control"]]
    untrained = frozen.groupby(["backbone", "task"])["score"].mean()
    places = pd.MultiIndex.from_frame(cells[["backbone", "task"]])
    offset = pd.Series(untrained.reindex(places).to_numpy(float), index=cells.index).fillna(0.0)
    score = (cells["score"] - offset.where(~labels, 0.0)).where(~generated, cells[RANK])
    return cells.assign(score=score, chance=cells["guess"], floor=cells["guess"])
