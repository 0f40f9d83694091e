"""The control experiment: the same method on a pre-trained and on a randomly initialised backbone."""

from __future__ import annotations

import pandas as pd

from petscale.analysis import means
from petscale.analysis.examples import Examples
from petscale.analysis.tidy import asked_by
from petscale.study.config.analysis import AnalysisSettings

_KEYS = ["ladder", "scale", "method", "kind"]


def control_table(cells: pd.DataFrame, settings: AnalysisSettings, examples: Examples) -> pd.DataFrame:
    """Pre-trained minus random score in points, by ladder, size and kind of task, paired by task and seed."""
    both = asked_by(cells, "control", control=True)
    rows = []
    for key, part in means.groups(both, _KEYS):
        random, trained = part[part["control"]], part[~part["control"]]
        if random.empty or trained.empty:
            continue
        tasks = [task for task in means.ordered(part["task"]) if task in set(random["task"]) & set(trained["task"])]
        difference = means.paired(trained, random, tasks, settings.confidence, examples)
        rows.append(
            {
                **dict(zip(_KEYS, key, strict=True)),
                "backbone": trained["backbone"].iloc[0],
                "display": trained["display"].iloc[0],
                "pretrained": means.mean_of(trained, tasks, settings.confidence, examples).value,
                "random": means.mean_of(random, tasks, settings.confidence, examples).value,
                **means.interval_columns(difference, "difference"),
                "tasks": ";".join(tasks),
                **means.account(part),
            }
        )
    return pd.DataFrame(rows)
