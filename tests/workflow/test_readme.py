"""The commands of README, tutorial and how-to work as a newcomer would type them; .ci/run runs those of make."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from petscale.workspace.grid import open_grid
from petscale.workspace.plan import plan_document
from petscale.workspace.study_file import load_study
from workflow.project import Workflow

PAGES = ("README.md", "docs/tutorial.md", "docs/rerun-a-cell.md", "docs/variants.md", "docs/local-rows.md",
         "docs/real-studies.md", "docs/read-results.md", "docs/compare-studies.md", "docs/export-a-delta.md",
         "docs/add-a-backbone.md", "docs/words.md")  # fmt: skip


def spans(root: Path) -> set[str]:
    """Every command that these pages show, in fences and in backticks."""
    text = "\n".join((root / page).read_text() for page in PAGES)
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    fences = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    ticks = re.findall(r"`((?:petscale|snakemake|make|mlflow) [^`]*)`", text)
    return {command for command in [*fences, *ticks] if command}


# How each command is run: directly below, on the tiny study in this file or in test_reruns.py, or by .ci/run.
DIRECT = {
    "petscale plan studies/mini.yaml",
    "petscale status studies/mini.yaml",
    "petscale status --stale studies/mini.yaml",
    "petscale count google/t5-v1_1-small apet-discrete --match lora",
    "petscale methods",
    "petscale status",
}
TINY = {
    "snakemake --cores 2 --configfile studies/mini.yaml",
    "snakemake results/cells/<cell>/result.json --cores 2 --configfile studies/mini.yaml",
    "petscale train <cell> --study studies/mini.yaml",
    "petscale plan",
    "snakemake results/cells/<cell>/result.json --cores 2 --configfile studies/mine.yaml",
    "MINILM=<backbone folder> ROWS=<folder of tasks> snakemake --cores 2 --configfile studies/real-smoke.yaml",
}
# test_tutorial.py
TUTORIAL = {
    "sed -e 's/^name: mini$/name: mine/' -e 's/\\[full, prompt, lora\\]/[full, prompt, lora, bitfit]/' "
    "studies/mini.yaml > studies/mine.yaml",
    "petscale plan studies/mine.yaml",
    "snakemake --cores 2 --configfile studies/mine.yaml",
    "petscale compare results/mini results/mine",
    "petscale export <cell> exported",
    "python examples/read_results.py results/mini",
}
SHELL = {"export PATH=$PWD/.venv/bin:$PATH"}  # .ci/run calls the commands by this folder
CI = {"make test", "make install", "make demo", "make docs"}
LONG = {"make study"}  # an hour; test_experiments.py runs all its parts in small
# tests/cluster runs the profile on a tiny study.
CLUSTER = {"snakemake --profile slurm --configfile studies/su2023.yaml"}


def test_every_command_of_the_pages_is_run_somewhere(root: Path) -> None:
    assert spans(root) == DIRECT | TINY | TUTORIAL | SHELL | CI | LONG | CLUSTER


@pytest.mark.parametrize("command", sorted(DIRECT))
def test_command_works(root: Path, command: str) -> None:
    words = command.split()
    assert words[0] == "petscale"
    done = subprocess.run([sys.executable, "-m", "petscale", *words[1:]], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("study", ["su2023", "su2023-small"])
def test_the_page_sizes_the_paper_s_studies_as_their_plans_do(root: Path, study: str) -> None:
    """The README once gave "a few days" for a study whose plan gave three weeks, and outdated counts of cells."""
    text = " ".join((root / "docs/real-studies.md").read_text().split())
    fixed = r"([\d,]+) cells, ([\d,]+) transfers, about ([\d,]+) device-hours"
    searched = r"([\d,]+) threshold searches of at most ([\d,]+) cells and ([\d,]+) device-hours"
    told = re.search(rf"`studies/{study}.yaml`.*?{fixed}.*?{searched}", text)
    assert told is not None
    cells, transfers, hours, searches, most, more = (int(number.replace(",", "")) for number in told.groups())
    document = plan_document(open_grid(load_study(root / "studies" / f"{study}.yaml")))
    assert (cells, transfers) == (len(document["cells"]), len(document["transfers"]))
    planned = sum(row["hours"] + row["transfer_hours"] for row in document["totals"])
    assert hours == pytest.approx(planned, rel=0.01)
    found = document["searches"]
    assert (searches, most) == (len(found), sum(search["most_cells"] for search in found))
    dearest = sum(search["most_hours"] for search in found)
    assert more == pytest.approx(dearest, rel=0.05)
    assert all(search["fits"] for search in found)
    if study == "su2023-small":
        assert planned + dearest <= 4 * 24  # "four days of one GPU"
        assert max(row["devices"] for row in document["totals"]) == 1


@pytest.mark.parametrize("study", ["lialin2024", "lialin2024-small"])
def test_the_page_sizes_the_studies_of_rates_as_their_plans_do(root: Path, study: str) -> None:
    text = " ".join((root / "docs/real-studies.md").read_text().split())
    told = re.search(rf"`studies/{study}.yaml`.*?: ([\d,]+) cells(.*?)about ([\d,]+) (device-hours|hours)", text)
    assert told is not None
    document = plan_document(open_grid(load_study(root / "studies" / f"{study}.yaml")))
    tries, repeats = len(document["cells"]), sum(search["repeats"] for search in document["rate_searches"])
    counts = [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", f"{told[1]} {told[2]}")]
    assert counts in ([tries, repeats], [tries + repeats])
    hours = sum(row["hours"] for row in document["totals"])
    hours += sum(search["repeat_hours"] for search in document["rate_searches"])
    assert int(told[3].replace(",", "")) == pytest.approx(hours, rel=0.02)
    assert all(row["fits"] for row in document["totals"])


def test_one_cell_with_and_without_snakemake(finished: Workflow, tmp_path: Path) -> None:
    """`snakemake <result>` trains one cell and what it needs; `petscale train` then works on the same inputs.

    Records, curves and deltas agree bit for bit with those of the whole study in another folder, times and places
    excepted: a cell's numbers depend on neither.
    """
    workflow = Workflow(finished.root, tmp_path, finished.package)
    workflow.write()
    cells = json.loads(workflow.petscale("plan", "study.yaml", "--json").stdout)["cells"]
    one, other = (cell["cell"] for cell in cells)
    workflow.run(f"results/cells/{one}/result.json", "--cores", "2")
    assert not (tmp_path / "results" / "cells" / other).exists()
    workflow.petscale("train", other, "--study", "study.yaml")
    for cell in (one, other):
        here, there = (w.folder / "results" / "cells" / cell for w in (workflow, finished))
        records = [json.loads((folder / "result.json").read_text()) for folder in (here, there)]
        for record in records:
            for key in ("throughput", "peak_memory", "provenance", "energy_j", "files", "seal"):
                record.pop(key)
        assert records[0] == records[1]
        curves = [list(csv.DictReader((folder / "curve.csv").open())) for folder in (here, there)]
        assert [{**row, "seconds": ""} for row in curves[0]] == [{**row, "seconds": ""} for row in curves[1]]
        assert (here / "delta.safetensors").read_bytes() == (there / "delta.safetensors").read_bytes()
