"""Paths in the results folder: made in one place, and no study can write into what all studies share."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from petscale.artefacts.layout import SHARED, Layout
from petscale.artefacts.names import StudyName

ROOT = Path(__file__).resolve().parents[2]
OF_A_STUDY = {"study", "plan", "overrides", "main_table", "report", "study_tracked"}
ABOUT_PATHS = {"relative", "named_cell"}


def made() -> dict[str, str]:
    """Every path that the layout makes, by the name of its function, with the names of the parameters as names."""
    layout, found = Layout("root"), {}
    for name, function in inspect.getmembers(layout, inspect.ismethod):
        if not name.startswith("_") and name not in ABOUT_PATHS:
            found[name] = function(*inspect.signature(function).parameters)
    return found


def test_a_study_cannot_be_named_like_a_folder_that_all_studies_share() -> None:
    """Guards against a study `changes` that would write its report among the differences of all studies."""
    paths = made()
    assert len(paths) > 15
    folders = {path.split("/")[1] for name, path in paths.items() if name not in OF_A_STUDY}
    own = {".petscale-root", ".petscale-digests.json"}
    assert folders - own == SHARED
    study_name = TypeAdapter(StudyName)
    assert study_name.validate_python("mine") == "mine"
    for name in (*SHARED, *own):
        with pytest.raises(ValidationError):
            study_name.validate_python(name)


def test_paths_of_a_study_lie_in_its_folder() -> None:
    paths = made()
    assert {paths[name].split("/")[1] for name in OF_A_STUDY} == {"study"}


def test_no_two_paths_are_the_same() -> None:
    paths = made()
    assert len(set(paths.values())) == len(paths)


@pytest.mark.parametrize(
    "text", ["b/t/m/seed1-0", "b/t/m/seed1-0/", "root/cells/b/t/m/seed1-0", "root/cells/b/t/m/seed1-0/result.json"]
)
def test_a_cell_may_be_named_by_its_path_its_folder_or_its_record(text: str) -> None:
    assert Layout("root").named_cell(text) == "b/t/m/seed1-0"


@pytest.mark.parametrize("root", ["results", "/disk/results", "a/b"])
def test_relative_paths_do_not_name_the_results_folder(root: str) -> None:
    layout = Layout(root)
    assert layout.relative(layout.transfer("b/t/m/s", "qa")) == "transfer/b/t/m/s/qa.json"


def test_nothing_else_makes_paths_of_the_results_folder() -> None:
    """Guards against a second place: rules, commands and tables ask the layout."""
    texts = [ROOT / "Snakefile", *(ROOT / "workflow").rglob("*.smk"), *(ROOT / "src").rglob("*.py")]
    parts = r'"(results/[^"<]*|result\.json|plan\.json|mlflow\.db|writer\.lock)"|Path\("results"|/ "(results|cells)"'
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in texts
        if path.name != "layout.py"
        for line in path.read_text().splitlines()
        if re.search(parts, line)
    ]
    assert found == []
