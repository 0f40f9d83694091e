"""The evidence of a study: its cells in both readings, and what claims need of them, ladder by ladder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from petscale.analysis import convergence, threshold
from petscale.analysis.claims import Evidence, listed
from petscale.analysis.examples import Examples
from petscale.analysis.learnt import learnt_table
from petscale.analysis.obstacles import obstacles
from petscale.analysis.readings import KNOWLEDGE, READINGS, Reading, read_cells
from petscale.analysis.searched import Searched, read_searches, searched_thresholds
from petscale.analysis.study_plan import StudyPlan
from petscale.analysis.threshold import Threshold
from petscale.study.config.analysis import AnalysisSettings


@dataclass(frozen=True)
class View:
    """A study in one reading."""

    reading: Reading
    cells: pd.DataFrame
    learnt: pd.DataFrame  # by knowledge in both readings
    runs: pd.DataFrame
    pairs: pd.DataFrame
    thresholds: list[Threshold]
    examples: Examples
    searches: list[Searched]


def views(
    plan: StudyPlan,
    cells: pd.DataFrame,
    lines: pd.DataFrame,
    examples: Mapping[Reading, Examples],
    settings: AnalysisSettings,
) -> list[View]:
    """A study in both readings.

    Args:
        plan: the study plan.
        cells: tidy table.
        lines: learning curves of the experiment `convergence`.
        examples: points of single test examples in each reading.
        settings: settings of the analysis.
    """
    made = []
    learnt = learnt_table(read_cells(cells, KNOWLEDGE), settings)
    for reading in READINGS:
        own = read_cells(cells, reading)
        runs = convergence.runs_table(own, lines, settings)
        searches = read_searches(plan, own, settings)
        swept = threshold.find_thresholds(own, settings)
        made.append(
            View(
                reading,
                own,
                learnt,
                runs,
                convergence.pairs_table(runs),
                threshold.with_delivered(swept, searched_thresholds(searches, settings)),
                examples.get(reading, {}),
                searches,
            )
        )
    return made


def evidence_of(
    plan: StudyPlan,
    seen: list[View],
    ratios: pd.DataFrame,
    losses: pd.DataFrame,
    measurements: pd.DataFrame,
    settings: AnalysisSettings,
) -> list[Evidence]:
    """The evidence of each ladder in each reading.

    Args:
        plan: the study plan.
        seen: of `views`.
        ratios: of `transfer.with_ratios`.
        losses: of `rates.losses_table`.
        measurements: of `efficiency.measurements_table`.
        settings: settings of the analysis.
    """
    impossible = obstacles(plan, settings)
    claims = frozenset(claim.id for claim in listed(plan, settings))
    return [
        Evidence(
            ladder=ladder["name"],
            reading=view.reading,
            backbones=[rung["name"] for rung in sorted(ladder["backbones"], key=lambda rung: int(rung["scale"]))],
            cells=_of(view.cells, ladder["name"]),
            learnt=_of(view.learnt, ladder["name"]),
            pairs=_of(view.pairs, ladder["name"]),
            thresholds=[one for one in view.thresholds if one.ladder == ladder["name"]],
            ratios=_of(ratios, ladder["name"]),
            examples=view.examples,
            settings=settings,
            listed=claims,
            losses=_of(losses, ladder["name"]),
            measurements=_of(measurements, ladder["name"]),
            obstacles=impossible[ladder["name"]],
        )
        for ladder in plan["ladders"]
        for view in seen
    ]


def _of(table: pd.DataFrame, ladder: str) -> pd.DataFrame:
    return table[table["ladder"] == ladder] if len(table) else table
