"""The page is complete without a network, names missing cells, and contains every table; figures are also SVG files."""

from __future__ import annotations

import argparse
import base64
import gzip
import re
from functools import cache
from pathlib import Path

import pytest

from analysis.studies import Study, as_claimed, with_holes
from petscale.cli import analyse as analyse_command
from petscale.cli import report as report_command
from petscale.errors import BadInput
from petscale.report.build import build, make_figures, read_tables
from petscale.report.deviations import DEVIATIONS, as_markdown
from petscale.report.figures.figure import interval_text, runs_text
from petscale.report.html_table import number, significant
from petscale.tasks import TASKS

EXPERIMENTS = ("methods", "structure", "convergence", "threshold", "transfer", "control")


@cache
def page_of(study: Study) -> str:
    build(study.plan, study.root, study.folder / "tables", study.folder / "report.html", study.folder / "figures")
    return (study.folder / "report.html").read_text()


def test_all_five_experiments_the_tables_and_the_claims_are_filled() -> None:
    page = page_of(as_claimed())
    for experiment in (*EXPERIMENTS, "claims", "table2", "costs", "deviations", "missing", "provenance"):
        assert f'<section id="{experiment}">' in page
    assert "No finished cells of this experiment yet" not in page
    assert "None: every planned cell and transfer has a score." in page
    assert page.index('id="claims"') < page.index('id="methods"')


def test_the_page_loads_nothing() -> None:
    page = page_of(as_claimed())
    outside = re.findall(
        r'(?:src|href)="(?!#|data:|figures/)([^"]*)"', re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    )
    assert outside == []
    assert "@import" not in page
    assert len(page) < 6e6


def test_every_figure_is_an_svg_file_and_valid_vega_lite() -> None:
    study = as_claimed()
    page_of(study)
    figures = make_figures(read_tables(study.folder / "tables"))
    assert {figure.experiment for figure in figures} == set(EXPERIMENTS)
    assert len({figure.name for figure in figures}) == len(figures)
    for figure in figures:
        figure.chart.to_dict()  # raises where the chart breaks the schema
        svg = (study.folder / "figures" / f"{figure.name}.svg").read_text()
        assert svg.startswith("<svg")
        assert svg.count("<path") > 3


def test_metrics_beside_the_main_one_are_on_the_page() -> None:
    """Exact match and further test sets have intervals on the page; once they were recorded but not shown."""
    section = page_of(as_claimed()).split('<section id="methods">')[1].split("</section>")[0]
    table = section[section.index("Other metrics and further test sets") :]
    for metric in ("em", "mismatched/accuracy"):
        row = re.search(
            rf'<td data-label="metric">{metric}</td><td class="num" data-label="score, points">(.*?)</td>', table
        )
        assert row is not None
        assert 'class="interval"' in row.group(1)


def test_every_table_is_in_the_page_to_the_byte() -> None:
    study = as_claimed()
    packed = dict(re.findall(r'class="packed" data-table="(\w+)">([^<]+)<', page_of(study)))
    files = {path.stem: path.read_bytes() for path in (study.folder / "tables").glob("*.csv")}
    assert {name: gzip.decompress(base64.b64decode(text)) for name, text in packed.items()} == files


def test_the_claims_table_shows_the_power_of_each_claim() -> None:
    """Nothing on the page said how likely the study had been to decide a claim at all."""
    study = as_claimed()
    claims, power = study.tables["claims"], study.tables["power"]
    section = page_of(study).split("How each verdict is decided")[1].split("</section>")[0]
    shown = re.findall(r'<td data-label="power">([^<]*)</td>', section)
    assert len(shown) == len(claims) == len(power)
    for text, verdict, share in zip(shown, claims["verdict"], power["decided"], strict=True):
        assert text == ("–" if verdict == "not measurable here" else f"{100 * share:.0f} %")
    assert {"–", "100 %"} <= set(shown)
    assert "the chance that this study would decide this claim if the effects were as the paper says" in section
    assert f"by {power['seed_sd'].iloc[0]:.1f} points over seeds; 2 simulated studies" in section
    assert 'data-table="power">power.csv' in section


def test_a_study_without_simulated_ones_shows_no_power() -> None:
    study = with_holes()
    section = page_of(study).split('<section id="claims">')[1].split("</section>")[0]
    assert study.tables["power"].empty
    assert "power" not in section


def test_holes_are_named_at_every_place() -> None:
    study = with_holes()
    page = page_of(study)
    cells = study.tables["cells"]
    lost = cells[cells["score"].isna()]
    assert "This report has holes" in page
    for experiment in EXPERIMENTS:
        section = page[page.index(f'<section id="{experiment}">') :]
        section = section[: section.index("</section>")]
        assert "runs have no score" in section, experiment
        assert 'class="hole"' in section, experiment
    for cell in lost["cell"]:
        assert cell in page
    assert page.count("tasks left out") > 2


def test_the_same_tables_give_the_same_page(tmp_path: Path) -> None:
    study = with_holes()
    build(study.plan, study.root, study.folder / "tables", tmp_path / "report.html", tmp_path / "figures")
    assert (tmp_path / "report.html").read_text() == page_of(study)


def test_rows_lead_to_their_cells() -> None:
    study = as_claimed()
    cells = study.tables["cells"]["cell"].tolist()
    page = page_of(study)
    numbers = [int(n) for text in re.findall(r'data-cells="([\d ]+)"', page) for n in text.split()]
    assert max(numbers) < len(cells)
    costs = page[page.index('<section id="costs">') :]
    row = re.search(r'mini-t5-small</td><td data-label="method">lora.*?data-cells="([\d ]+)"', costs, re.S)
    assert row is not None
    assert all("mini-t5-small" in cells[int(n)] and "/lora/" in cells[int(n)] for n in row.group(1).split())


def test_an_empty_study_still_has_a_report(tmp_path: Path) -> None:
    from analysis.studies import design
    from analysis.synthetic import Truth

    study = Study(Truth(), design(seeds=(1,)), lambda cell: "missing")
    page = page_of(study)
    assert page.count("No finished cells of this experiment yet") == len(EXPERIMENTS)
    assert set(study.tables["claims"]["verdict"]) == {"not measurable here"}  # one seed gives no interval


def test_commands_write_where_the_workflow_expects(tmp_path: Path) -> None:
    study = as_claimed()
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    for command in (analyse_command, report_command):
        command.add_parser(subparsers)
    words = ["analyse", str(study.plan), "--results", str(study.root), "--out", str(tmp_path / "tables")]
    args = parser.parse_args(words)
    assert args.func(args) == 0
    words = ["report", str(study.plan), "--results", str(study.root), "--tables", str(tmp_path / "tables")]
    args = parser.parse_args([*words, "--out", str(tmp_path / "report.html")])
    assert args.func(args) == 0
    assert (tmp_path / "report.html").exists()
    assert list((tmp_path / "figures").glob("*.svg"))


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="petscale analyse"):
        read_tables(tmp_path)


def test_the_deviations_page_is_the_report_s(root: Path) -> None:
    assert (root / "docs" / "deviations.md").read_text() == as_markdown()
    assert all(one.why for one in DEVIATIONS)


def test_the_deviations_page_counts_mnli_s_classes_as_the_task_does() -> None:
    """The page said that MNLI is collapsed to two classes while its labels stayed three."""
    classes = len(set(TASKS["mnli"].classes("unified")))
    transfer = next(one for one in DEVIATIONS if one.place == "transfer")
    assert (classes == 3) == ("three classes" in transfer.here)
    assert "collapsed" not in transfer.here


def test_numbers_read_well() -> None:
    assert number(1, sign=True)(-0.04) == "+0.0"
    assert number(1)(float("nan")) == "–"
    assert number(0)(12_345.0) == "12,345"
    assert significant(3)(0.012345) == "0.0123"
    assert significant(3)(1_234_567.0) == "1,234,567"
    assert significant(3)(float("inf")) == "∞"
    assert interval_text(None, None).startswith("none")


def test_a_hover_names_one_cell_or_what_many_share() -> None:
    one = "b/t/lora/seed1-aaaaaaaaaaaa"
    assert runs_text(one) == one
    many = f"{one};b/u/lora/seed2-bbbbbbbbbbbb"
    assert runs_text(many) == "b/(2 tasks)/lora/seed 1, 2 (2 cells)"
    assert runs_text("") == "none"
