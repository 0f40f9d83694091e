"""How likely the study was to decide each claim, simulated with the scatter that its own cells show."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from petscale.analysis.readings import KNOWLEDGE, read_cells
from petscale.analysis.simulate import of_the_paper, power, quick
from petscale.analysis.study_plan import StudyPlan
from petscale.study.config.analysis import AnalysisSettings

COLUMNS = ["id", "claim", "ladder", "reading", "decided", "supported", "draws", "seed_sd"]
_BUT_SEED = ["backbone", "task", "method", "budget", "learning_rate", "labels", "head"]


def power_table(plan: StudyPlan, cells: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """The shares of simulated studies that decide and that support each claim, on each ladder and in each reading.

    Simulated are `settings.power_draws` results of the plan, with the effects that the paper states and with the
    scatter over seeds of the study's own cells.

    Returns:
        One row per claim, ladder and reading; none without draws, or where no two finished cells differ in their seed
        alone.
    """
    scatter = seed_scatter(cells)
    if not settings.power_draws or not scatter:
        return pd.DataFrame(columns=COLUMNS)
    seed_sd = float(np.median(list(scatter.values())))
    world = replace(of_the_paper(plan, seed_sd), sd_of=scatter)
    found = power(plan, quick(settings), world, settings.power_draws, settings.seed)
    decided = found["supported"] + found["not supported"]
    return found.assign(decided=decided, draws=settings.power_draws, seed_sd=seed_sd)[COLUMNS]


def seed_scatter(cells: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Standard deviation over seeds of what a trained cell knows, for each backbone and method.

    It is pooled over groups that differ in their seed alone. What a cell knows runs from 0 to 100: on tasks with labels
    it is the share of the way from guessing to 100 % of its rank accuracy, and on free text the main metric. Counted
    are the finished cells on pre-trained backbones. APET methods are counted at budgets of PET methods alone, because
    near a threshold their scores scatter more.

    Args:
        cells: tidy table.

    Returns:
        (backbone, method) -> deviation in points, where a group has two finished cells.
    """
    read = read_cells(cells, KNOWLEDGE)
    matched = read["structure"].isna() | read["matches"].map(len).gt(0)
    trained = matched & (read["method"] != "frozen") & ~read["control"]
    own = read[trained & (read["status"] == "done") & read["score"].notna()]
    known = own["score"] * 100.0 / (100.0 - own["guess"])
    groups = known.groupby([own[key] for key in _BUT_SEED], dropna=False)
    found = pd.DataFrame({"degrees": groups.count() - 1, "variance": groups.var()})
    found = found[found["degrees"] > 0].reset_index()
    found["squares"] = found["degrees"] * found["variance"]
    sums = found.groupby(["backbone", "method"], sort=False)[["degrees", "squares"]].sum()
    return {(str(b), str(m)): math.sqrt(row["squares"] / row["degrees"]) for (b, m), row in sums.iterrows()}
