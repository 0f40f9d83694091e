"""Make all tables from a plan and its results. This is the only module of the analysis that writes files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from petscale.analysis import (
    control,
    convergence,
    efficiency,
    methods,
    scores,
    side_by_side,
    structure,
    threshold,
    transfer,
)
from petscale.analysis.claims import Evidence, claims_markdown, claims_table
from petscale.analysis.examples import example_scores
from petscale.analysis.study_plan import StudyPlan, read_plan, settings_of
from petscale.analysis.tidy import curves, tidy
from petscale.analysis.transfer_scores import transfer_scores
from petscale.artefacts.files import write_atomically

Tables = dict[str, pd.DataFrame]

_WITH_EXAMPLES = {"methods", "structure", "control"}


def analyse(plan_path: Path, results_root: Path, out_dir: Path) -> Tables:
    """Write every table of a study as CSV, and the claims also as Markdown; the same results give the same bytes.

    Args:
        plan_path: the study's plan.json.
        results_root: the folder with `cells/` and `transfer/`.
        out_dir: the folder for `<table>.csv` and `claims.md`.

    Raises:
        BadInput: the plan cannot be used.
    """
    tables = make_tables(read_plan(plan_path), results_root)
    for name, table in tables.items():
        write_atomically(out_dir / f"{name}.csv", csv_text(table))
    write_atomically(out_dir / "claims.md", claims_markdown(tables["claims"]))
    return tables


def make_tables(plan: StudyPlan, results_root: Path) -> Tables:
    """Make all tables; the keys are their names, in the order of the report.

    Raises:
        BadInput: the plan's settings cannot be used.
    """
    settings = settings_of(plan)
    cells = tidy(plan, results_root)
    examples = example_scores(cells[_needs_examples(cells)], results_root)
    lines = curves(cells[[("convergence" in names) for names in cells["experiments"]]], results_root)
    runs = convergence.runs_table(cells, lines, settings)
    pairs = convergence.pairs_table(runs, lines, settings)
    found = threshold.find_thresholds(cells, settings)
    zero_shot = transfer_scores(plan, cells, results_root)
    ratios = transfer.with_ratios(zero_shot, settings)
    every = scores.scores_table(cells, results_root)
    evidence = [
        Evidence(
            ladder=ladder["name"],
            backbones=[rung["name"] for rung in sorted(ladder["backbones"], key=lambda rung: int(rung["scale"]))],
            cells=cells[cells["ladder"] == ladder["name"]],
            pairs=pairs[pairs["ladder"] == ladder["name"]] if len(pairs) else pairs,
            thresholds=[one for one in found if one.ladder == ladder["name"]],
            ratios=ratios[ratios["ladder"] == ladder["name"]],
            examples=examples,
            settings=settings,
        )
        for ladder in plan["ladders"]
    ]
    gaps, thresholds = methods.gaps_table(cells, settings), threshold.threshold_table(found, settings)
    return {
        "claims": claims_table(evidence),
        "methods": methods.methods_table(cells, settings, examples),
        "gaps": gaps,
        "metrics": scores.metrics_table(cells, every, settings),
        "structure": structure.structure_table(cells, settings, examples),
        "structure_gaps": structure.structure_gaps_table(cells, settings),
        "table2": structure.table2(cells, settings, examples),
        "convergence": convergence.convergence_table(pairs, settings),
        "convergence_pairs": pairs,
        "convergence_runs": runs,
        "curves": lines,
        "threshold": thresholds,
        "threshold_points": threshold.points_table(cells, settings),
        "transfer": transfer.transfer_table(ratios, settings),
        "transfer_relations": transfer.relation_table(ratios, settings),
        "control": control.control_table(cells, settings, examples),
        "efficiency": efficiency.efficiency_table(cells),
        "side_by_side": side_by_side.side_by_side(cells, thresholds, gaps, settings),
        "missing": efficiency.missing_table(cells, zero_shot),
        "cells": cells,
        "scores": every,
    }


def _needs_examples(cells: pd.DataFrame) -> pd.Series:
    """Which cells need the scores of single examples; sweeps and transfers treat the test examples as fixed."""
    asked = [bool(_WITH_EXAMPLES.intersection(names)) for names in cells["experiments"]]
    return pd.Series(asked, index=cells.index, dtype=bool)


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV text: lists joined by ';', numbers with ten significant digits, absent values empty."""
    flat = table.copy()
    for column in flat.columns:
        if flat[column].map(lambda value: isinstance(value, tuple)).any():
            flat[column] = [";".join(value) for value in flat[column]]
    return str(flat.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
