"""Thresholds that searches found: what their cells tell, by the same posterior that chose their budgets.

The interval of a search contains what lies between its budgets. Both readings use the same cells, although the budgets
followed from one of them. Budgets that follow from scores bias no posterior: it depends on the scores alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from petscale.analysis import means
from petscale.analysis.bounds import Bounds
from petscale.analysis.study_plan import StudyPlan
from petscale.analysis.threshold import KEYS, Threshold
from petscale.analysis.tidy import asked_by
from petscale.search.posterior import Array, Crossing, Levels, Posterior, Scores, posterior
from petscale.study.config.analysis import AnalysisSettings

EXPERIMENT = "threshold"
_NONE: Array = np.array([np.nan])
_NOTHING = Bounds(_NONE, _NONE, 0)


@dataclass(frozen=True)
class Searched:
    """One search with its cells in one reading.

    Attributes:
        place: the columns `KEYS` of its rows.
        path: of the search.
        cells: its cells, and those of its references.
        trials: how many of these are its own, with a score.
        state: the posterior; None if a reference has no score.
        budgets: of the cells with a score.
        learnt: whether full fine-tuning is rise + margin points above the baseline.
    """

    place: dict[str, Any]
    path: str
    cells: pd.DataFrame
    trials: int
    state: Posterior | None
    budgets: Array
    learnt: bool


def read_searches(plan: StudyPlan, cells: pd.DataFrame, settings: AnalysisSettings) -> list[Searched]:
    """The searches of a study.

    Args:
        plan: the study plan.
        cells: tidy table in one reading.
        settings: settings of the analysis.
    """
    return list(_read(plan, asked_by(cells, EXPERIMENT), settings))


def searched_thresholds(found: list[Searched], settings: AnalysisSettings) -> list[Threshold]:
    """The thresholds of every search, in the form of those of a sweep."""
    return [_threshold(one, settings) for one in found]


def searches_table(plan: StudyPlan, found: list[Searched]) -> pd.DataFrame:
    """One row per search: its range, how many cells it had, and why it has ended."""
    planned = {entry["search"]: entry for entry in plan.get("searches", ())}
    rows = [
        {
            **one.place,
            "search": one.path,
            "smallest": planned[one.path]["smallest"],
            "largest": planned[one.path]["largest"],
            "factor": planned[one.path]["factor"],
            "trials": one.trials,
            "most_trials": planned[one.path]["most_cells"],
            "ended": planned[one.path].get("ended"),
            "noise": np.nan if one.state is None else one.state.noise,
        }
        for one in found
    ]
    return pd.DataFrame(rows)


def curves_table(found: list[Searched]) -> pd.DataFrame:
    """The curve of each search at each budget of its grid: posterior mean and 95 % band, in points."""
    parts = []
    for one in found:
        if one.state is None or not one.trials:
            continue
        places = range(len(one.state.curve))
        band = np.array([one.state.scores.quantile(np.array([0.025, 0.975]), place) for place in places])
        columns = {
            "budget": np.round(10**one.state.low.positions),
            "value": one.state.curve,
            "low": band[:, 0],
            "high": band[:, 1],
        }
        parts.append(pd.DataFrame({**{key: [value] * len(places) for key, value in one.place.items()}, **columns}))
    return (
        pd.concat(parts, ignore_index=True)
        if parts
        else pd.DataFrame(columns=[*KEYS, "budget", "value", "low", "high"])
    )


def _read(plan: StudyPlan, asked: pd.DataFrame, settings: AnalysisSettings) -> Iterator[Searched]:
    displays = {rung["name"]: rung["display"] for ladder in plan["ladders"] for rung in ladder["backbones"]}
    rule = settings.threshold
    for entry in plan.get("searches", ()):
        rung = asked[(asked["backbone"] == entry["backbone"]) & (asked["task"] == entry["task"])]
        part = rung[rung["method"].isin([entry["method"], *means.REFERENCES])]
        own = means.scored(part[part["method"] == entry["method"]])
        ends = {name: means.scored(part[part["method"] == name])["score"].to_numpy(float) for name in means.REFERENCES}
        budgets = own["budget"].to_numpy(float)
        state, learnt = None, False
        if all(len(scores) for scores in ends.values()):
            baseline = np.maximum(ends["frozen"], float(part["floor"].iloc[0]))
            learnt = bool(ends["full"].mean() - baseline.mean() >= rule.rise_points + rule.margin_points)
            scores = Scores(budgets, own["score"].to_numpy(float), baseline, ends["full"])
            levels = Levels(rule.rise_points, rule.margin_points)
            state = posterior(scores, levels, entry["smallest"], entry["largest"])
        yield Searched(
            place={**{key: entry[key] for key in KEYS if key != "display"}, "display": displays[entry["backbone"]]},
            path=entry["search"],
            cells=part,
            trials=len(own),
            state=state,
            budgets=np.unique(budgets),
            learnt=learnt,
        )


def _threshold(one: Searched, settings: AnalysisSettings) -> Threshold:
    none = "no reference" if one.state is None else "" if one.trials else "no cells"
    if one.state is not None and not one.learnt:
        none = "full near baseline"
    account = means.account(one.cells)
    low = high = _NOTHING
    jump = jump_above = _NONE
    seeds = int(one.cells["seed"].nunique())
    if one.state is not None and not none:
        # Searches share references, but draws of two searches are taken as independent, which can only widen
        # differences between them.
        generator = np.random.default_rng([settings.seed, int(one.path.rsplit("-", 1)[1], 16)])
        chances = generator.uniform(size=(4, settings.bootstrap_draws))
        low, high = _bounds(one.state.low, chances[0], seeds), _bounds(one.state.high, chances[1], seeds)
        past = one.budgets[np.log10(one.budgets) >= low.high[0] - 1e-9]
        if not low.censored and len(past):
            place = int(np.searchsorted(one.state.low.positions, np.log10(past[0]) - 1e-9))
            reached = one.state.scores.quantile(np.concatenate([[0.5], chances[2]]), place)
            full = one.state.full_scores.quantile(np.concatenate([[0.5], chances[3]]), 0)
            jump = 100 * reached / full
            jump_above = 100 * (reached - one.state.baseline) / (full - one.state.baseline)
    return Threshold(
        **one.place,
        low=low,
        high=high,
        seeds=seeds if low.seeds else 0,
        low_none=none,
        high_none=none,
        jump=jump,
        jump_above=jump_above,
        missing=(),
        diverged=account["diverged"],
        absent=account["missing"],
        cells=account["cells"],
        basis=f"search, {one.trials} cells",
        search=one.path,
    )


def _bounds(crossing: Crossing, chances: Array, seeds: int) -> Bounds:
    """The estimate with its 95 % interval as bounds, and draws; beyond the range a draw is known on one side only."""
    draws = crossing.quantile(np.concatenate([[0.5], chances]))
    first, last = crossing.positions[0], crossing.positions[-1]
    low = np.where(np.isposinf(draws), last, draws)
    high = np.where(np.isneginf(draws), first, draws)
    return Bounds(low, high, seeds)
