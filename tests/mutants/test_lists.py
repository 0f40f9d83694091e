"""The lists that `make mutants` reads speak of code and tests that exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mutants.run import read
from mutants.trial import SOURCE


@pytest.mark.parametrize("mistake", read("named")["mutant"], ids=lambda mistake: mistake["name"])
def test_a_named_mistake_can_be_made(root: Path, mistake: dict[str, str]) -> None:
    """The line that it changes stands once in its file, and the test that notices it is there."""
    text = (root / SOURCE / mistake["file"]).read_text()
    assert text.count(mistake["old"]) == 1, f"{mistake['file']}: adapt tests/mutants/named.toml to the new code"
    ast.parse(text.replace(mistake["old"], mistake["new"]))
    file, _, name = mistake["test"].partition("::")
    tests = ast.parse((root / "tests" / file).read_text()).body
    assert name in [test.name for test in tests if isinstance(test, ast.FunctionDef)]


def test_files_and_their_tests_exist(root: Path) -> None:
    for file, entry in read("files").items():
        assert (root / SOURCE / file).is_file(), file
        for test in entry["tests"]:
            assert (root / "tests" / test.partition("::")[0]).is_file(), test
    assert set(read("explained")) <= set(read("files"))
