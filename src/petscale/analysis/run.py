"""Make all tables from a plan and its results. This is the only module of the analysis that writes files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from petscale.analysis import (
    comparison,
    control,
    convergence,
    costs,
    efficiency,
    methods,
    rates,
    scores,
    searched,
    side_by_side,
    structure,
    threshold,
    transfer,
    variants,
)
from petscale.analysis.claims import claims_markdown, claims_table
from petscale.analysis.evidence import View, evidence_of, views
from petscale.analysis.examples import example_scores
from petscale.analysis.power_table import power_table
from petscale.analysis.readings import PUBLISHED, READINGS
from petscale.analysis.study_plan import StudyPlan, read_plan, settings_of
from petscale.analysis.tidy import asked_by, compared, curves, tidy
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
    plan = read_plan(plan_path)
    tables = make_tables(plan, results_root)
    tables["power"] = power_table(plan, tables["cells"], settings_of(plan))
    for name, table in tables.items():
        write_atomically(out_dir / f"{name}.csv", csv_text(table))
    write_atomically(out_dir / "claims.md", claims_markdown(tables["claims"], tables["power"]))
    return tables


def make_tables(plan: StudyPlan, results_root: Path) -> Tables:
    """Make all tables but `power`, which simulates; the keys are their names, in the order of the report.

    Raises:
        BadInput: the plan's settings cannot be used.
    """
    settings = settings_of(plan)
    every_cell = tidy(plan, results_root)
    cells = compared(every_cell)
    wanted = cells[_needs_examples(cells)]
    examples = {reading: example_scores(wanted, results_root, reading) for reading in READINGS}
    lines = curves(asked_by(cells, "convergence", control=True), results_root)
    seen = views(plan, cells, lines, examples, settings)
    zero_shot = transfer_scores(plan, cells, results_root)
    ratios = transfer.with_ratios(zero_shot, settings)
    measured = efficiency.measurements_table(plan, results_root)
    losses = rates.losses_table(plan, every_cell)
    every = scores.scores_table(every_cell, results_root)
    gaps = _both(seen, lambda view: methods.gaps_table(view.cells, settings))
    thresholds = _both(seen, lambda view: threshold.threshold_table(view.thresholds, settings))
    alone, beside = efficiency.efficiency_table(measured, settings), costs.costs_table(cells)
    ratios_to_full = comparison.cost_ratios(alone, beside)
    compared_methods = _both(
        seen, lambda view: comparison.comparison_table(view.cells, ratios_to_full, settings, view.examples)
    )
    first = seen[0]
    return {
        "claims": claims_table(evidence_of(plan, seen, ratios, losses, measured, settings)),
        "learnt": first.learnt,
        "methods": _both(seen, lambda view: methods.methods_table(view.cells, settings, view.examples)),
        "gaps": gaps,
        "comparison": compared_methods,
        "variants": _both(seen, lambda view: variants.variants_table(plan, view.cells, settings, view.examples)),
        "metrics": scores.metrics_table(cells, every, settings),
        "structure": _both(seen, lambda view: structure.structure_table(view.cells, settings, view.examples)),
        "structure_gaps": _both(seen, lambda view: structure.structure_gaps_table(view.cells, settings)),
        "table2": structure.table2(first.cells, settings, first.examples),
        "convergence": _both(seen, lambda view: convergence.convergence_table(view.pairs, settings)),
        "convergence_pairs": _both(seen, lambda view: view.pairs),
        "convergence_runs": _both(seen, lambda view: view.runs),
        "curves": lines,
        "threshold": thresholds,
        "threshold_points": _both(seen, lambda view: threshold.points_table(view.cells, settings)),
        "threshold_curves": _both(seen, lambda view: searched.curves_table(view.searches)),
        "searches": _both(seen, lambda view: searched.searches_table(plan, view.searches)),
        "transfer": transfer.transfer_table(ratios, settings),
        "transfer_relations": transfer.relation_table(ratios, settings),
        "control": control.control_table(cells, settings, first.examples),
        "efficiency": alone,
        "measurements": measured,
        "costs": beside,
        "side_by_side": side_by_side.side_by_side(
            cells, _published(thresholds), _published(gaps), _published(compared_methods), settings
        ),
        "rates": rates.rates_table(plan, every_cell),
        "missing": costs.missing_table(every_cell, zero_shot, measured),
        "cells": every_cell,
        "scores": every,
    }


def _both(seen: Sequence[View], make: Callable[[View], pd.DataFrame]) -> pd.DataFrame:
    """A table in both readings, one after the other; the column `reading` says which a row has."""
    parts = [(view.reading, make(view)) for view in seen]
    filled = [table.assign(reading=reading) for reading, table in parts if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0][1]


def _published(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["reading"] == PUBLISHED] if len(table) else table


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
