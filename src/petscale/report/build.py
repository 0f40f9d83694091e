"""Build the report of a study: one HTML page, and every figure as SVG."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import vl_convert

from petscale.analysis.run import Tables
from petscale.analysis.study_plan import read_plan
from petscale.artefacts.files import write_atomically
from petscale.errors import BadInput
from petscale.report.figures import (
    Figure,
    comparison,
    control,
    convergence,
    efficiency,
    methods,
    structure,
    threshold,
    transfer,
    variants,
)
from petscale.report.page import render

_MAKERS = (methods, comparison, variants, structure, convergence, threshold, transfer, control, efficiency)
_TEXT = {
    "basis", "cause", "cells", "detail", "device", "devs", "edge", "ended", "experiments", "head", "high_censored",
    "high_none", "left_out", "low_censored", "low_none", "match", "matches", "memory_by", "n", "not_counted",
    "not_merged", "note", "notes", "original_cell", "path", "rates", "records", "rule", "search", "sign", "statistic",
    "structure", "tasks", "unit", "differs",
}  # fmt: skip


def build(plan_path: Path, results_root: Path, analysis_dir: Path, out_html: Path, figures_dir: Path) -> None:
    """Write the page and the figures.

    Args:
        plan_path: the study's plan.json.
        results_root: the results folder; the page shows its name, but nothing is read from it.
        analysis_dir: the tables that `analysis.run.analyse` wrote.
        out_html: the page to write; it contains everything that it needs.
        figures_dir: the folder for `<figure>.svg`.

    Raises:
        BadInput: the plan or a table is missing or unreadable.
    """
    plan = read_plan(plan_path)
    tables = read_tables(analysis_dir)
    figures = make_figures(tables)
    for figure in figures:
        write_atomically(figures_dir / f"{figure.name}.svg", vl_convert.vegalite_to_svg(figure.static()))
    write_atomically(out_html, render(plan, tables, figures, analysis_dir, results_root))


def make_figures(tables: Tables) -> list[Figure]:
    """All figures for which the tables have data, in the order of the page."""
    return [figure for maker in _MAKERS for figure in maker.figures(tables)]


def read_tables(folder: Path) -> Tables:
    """Read the tables of a study from their CSV files.

    Raises:
        BadInput: there is no table, or one cannot be read.
    """
    tables = {}
    for path in sorted(folder.glob("*.csv")):
        try:
            tables[path.stem] = pd.read_csv(path, dtype=dict.fromkeys(_TEXT, str))
        except pd.errors.EmptyDataError:
            tables[path.stem] = pd.DataFrame()
        except (OSError, ValueError) as error:
            raise BadInput(f"{path}: not a readable table ({error})") from None
    if "claims" not in tables or "cells" not in tables:
        raise BadInput(f"{folder}: no tables of a study here; run `petscale analyse` first")
    if "costs" not in tables and "efficiency" in tables:  # the name of that table before efficiency was measured
        tables["costs"] = tables.pop("efficiency")
    for table in tables.values():
        for column in _TEXT & set(table.columns):
            table[column] = table[column].fillna("")
    return tables
