"""The HTML page: sections, embedded data and the plotting library in one file."""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from petscale.analysis.run import Tables
from petscale.analysis.study_plan import StudyPlan
from petscale.analysis.wording import power_meaning
from petscale.report import sections as parts
from petscale.report import verdicts
from petscale.report.deviations import DEVIATIONS
from petscale.report.figures import Figure
from petscale.report.options import options_in_use


def render(plan: StudyPlan, tables: Tables, figures: list[Figure], tables_dir: Path, results_root: Path) -> str:
    """The page as text.

    Args:
        plan: the study plan.
        tables: tables of the analysis.
        figures: the figures, each with its experiment.
        tables_dir: the folder of the CSV files; their text is embedded for download.
        results_root: the folder to which the paths of cells are relative.
    """
    cells = tables["cells"]
    power = tables.get("power", pd.DataFrame())  # tables of earlier versions have none
    numbers_of = {cell: index for index, cell in enumerate(cells["cell"])}
    environment = Environment(
        loader=PackageLoader("petscale.report", "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        plan=plan,
        counts=_counts(cells),
        holes=_holes(tables["missing"]),
        changed=plan.get("changed_inputs") or {},
        notes=cells.loc[cells["notes"] != "", ["cell", "notes"]].to_dict("records"),
        claims=verdicts.claims_html(tables["claims"], power, numbers_of),
        power=power_meaning(power) if len(power) else "",
        verdicts=verdicts.verdicts_html(tables["claims"]),
        readings=verdicts.readings_html(),
        tally={
            reading: part["verdict"].value_counts().to_dict()
            for reading, part in tables["claims"].groupby("reading", sort=False)
        },
        rates=parts.rates_html(tables["rates"], numbers_of) if "rates" in tables else "",
        learnt=parts.learnt_html(tables["learnt"], numbers_of),
        sections=parts.sections(tables, numbers_of),
        figures=figures,
        specs=[_script_json(figure.interactive()) for figure in figures],
        table2=parts.table2_html(tables["table2"], numbers_of),
        costs=parts.costs_html(tables["costs"], numbers_of),
        side_by_side=parts.side_by_side_html(tables["side_by_side"], numbers_of) if len(tables["side_by_side"]) else "",
        deviations=DEVIATIONS,
        options=options_in_use(plan),
        provenance=_provenance(plan, cells, results_root),
        settings=json.dumps(plan["settings"], indent=1),
        csv={path.stem: _packed(path.read_bytes()) for path in sorted(tables_dir.glob("*.csv"))},
        style=_asset("report.css"),
        script=_asset("report.js"),
        library=_library(),
    )


@cache
def _library() -> str:
    """Vega, Vega-Lite and vega-embed as one script, from the package that also draws the SVG files."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version="6.4")
    return str(bundle).replace("</script", "<\\/script")


def _asset(name: str) -> str:
    return (files("petscale.report") / "templates" / name).read_text(encoding="utf-8")


def _script_json(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")


def _packed(raw: bytes) -> str:
    return base64.b64encode(gzip.compress(raw, mtime=0)).decode()


def _counts(cells: pd.DataFrame) -> dict[str, int]:
    found = cells["status"].value_counts()
    return {"planned": len(cells), **{name: int(found.get(name, 0)) for name in ("done", "diverged", "missing")}}


def _holes(missing: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Cells and transfers without a score by experiment."""
    holes: dict[str, list[dict[str, Any]]] = {}
    for row in missing.to_dict("records"):
        for experiment in str(row["experiments"]).split(";"):
            holes.setdefault(experiment, []).append(row)
    return holes


def _provenance(plan: StudyPlan, cells: pd.DataFrame, results_root: Path) -> dict[str, str]:
    """Where the numbers come from: the study, and the code, data and backbones that its records name."""
    told = {str(key): str(value) for key, value in (plan.get("provenance") or {}).items()}
    hashes = {
        f"{what} hashes": ", ".join(sorted(map(str, cells[column].dropna().unique()))) or "none recorded"
        for what, column in (("code", "hash_code"), ("data", "hash_data"), ("backbone", "hash_backbone"))
    }
    return {
        "study": str(plan["study"]),
        "study digest": str(plan.get("digest", "")),
        "results": str(results_root),
        **told,
        **hashes,
    }
