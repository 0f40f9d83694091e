"""What makes a finished cell stale: the code that trains it, its method's and its family's, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import petscale
from petscale.errors import Exit
from petscale.families.registry import FAMILIES
from petscale.study import sources, stages
from petscale.training.run import run_cell
from petscale.tuning.registry import METHODS
from training.bench import Bench, make_cell

PACKAGE = Path(petscale.__file__).parent
CODES = """
import json
from petscale.study.stages import ENTRIES, cell_code, code_digest
codes = {f"{m} on {f}": cell_code(m, f) for m in ENTRIES["methods"] for f in ENTRIES["families"]}
print(json.dumps(codes | {s: code_digest(("stages", s)) for s in ENTRIES["stages"]}))
"""
REMADE = {"analysis/interval.py": {"analyse", "report"}, "report/theme.py": {"report"}, "cells/lock.py": set()}
NEW_METHOD = '''"""A copy of LoRA under another name."""

from dataclasses import replace

from petscale.tuning.methods.lora import LORA

ANOTHER = replace(LORA, name="another")
'''


class Copy:
    """A copy of the package that a test may edit."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "src" / "petscale"
        shutil.copytree(PACKAGE, self.package, ignore=shutil.ignore_patterns("__pycache__"))

    def edit(self, file: str, change: Callable[[str], str]) -> None:
        path = self.package / file
        before = path.read_text()
        path.write_text(change(before))
        assert path.read_text() != before

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(self.package.parent)}
        return subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True, check=check)

    def codes(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.run("-c", CODES).stdout)
        return found


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return Copy(tmp_path_factory.mktemp("before")).codes()


def _changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name, code in before.items() if after[name] != code}


def test_the_lists_are_those_of_the_imports() -> None:
    found = sources.find_sources()
    for kind, entries in stages.ENTRIES.items():
        assert {name: list(entry.sources) for name, entry in entries.items()} == found[kind]


def test_every_method_and_family_is_listed_with_its_version() -> None:
    assert {name: entry.version for name, entry in stages.ENTRIES["methods"].items()} == {
        name: method.version for name, method in METHODS.items()
    }
    assert set(stages.ENTRIES["families"]) == set(FAMILIES)


def test_a_new_method_makes_no_finished_cell_stale(copy: Copy, before: dict[str, str]) -> None:
    (copy.package / "tuning" / "methods" / "another.py").write_text(NEW_METHOD)
    copy.edit(
        "tuning/methods/catalogue.py",
        lambda text: text.replace(
            "from petscale.tuning.methods.bitfit",
            "from petscale.tuning.methods.another import ANOTHER\nfrom petscale.tuning.methods.bitfit",
        ).replace("    LORA,\n", "    LORA,\n    ANOTHER,\n"),
    )
    copy.run("-m", "petscale", "stages", "--update")
    after = copy.codes()
    cells = {name for name in before if " on " in name}
    assert not _changed(before, after) & (cells | {"prepare", "tokenize", "backbone", "transfer"})
    assert {"another on t5", "another on bert"} == after.keys() - before.keys()
    copy.run("-m", "petscale", "stages", "--check")


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("tuning/live.py", lambda cell: True),  # the mechanism: every method trains through it
        ("tuning/methods/lora.py", lambda cell: cell.split()[0] in ("lora", "lora-qv", "lora-all")),
        ("tuning/apportion.py", lambda cell: cell.startswith("apet-")),
        ("families/bert/parts.py", lambda cell: cell.endswith(" on bert")),
        ("scoring/generate.py", lambda cell: cell.endswith(" on t5")),
        ("analysis/interval.py", lambda cell: False),
        ("report/theme.py", lambda cell: False),
        ("cells/lock.py", lambda cell: False),
    ],
)
def test_an_edit_makes_stale_what_it_concerns(
    copy: Copy, before: dict[str, str], file: str, stale: Callable[[str], bool]
) -> None:
    copy.edit(file, lambda text: text + "\n\nEDIT = 1\n")
    changed = _changed(before, copy.codes())
    assert {name for name in changed if " on " in name} == {n for n in before if " on " in n and stale(n)}
    if file.startswith(("analysis", "report", "cells")):
        assert changed & {"analyse", "report"} == REMADE[file]


def test_the_order_of_berts_linears_is_guarded(copy: Copy, before: dict[str, str]) -> None:
    """It decides which seats APET's quotas get, and once it could be reversed without a word."""
    copy.edit(
        "families/bert/parts.py",
        lambda text: text.replace("in _linears(shape, layer):", "in _linears(shape, layer)[::-1]:"),
    )
    changed = {name for name in _changed(before, copy.codes()) if " on " in name}
    assert changed == {name for name in before if name.endswith(" on bert")}
    refused = copy.run("-m", "petscale", "stages", "--check", check=False)
    assert refused.returncode == Exit.BAD_INPUT
    assert "bert" in refused.stderr and refused.stderr.count("\n") == 1


def test_comments_and_docstrings_do_not_count(copy: Copy, before: dict[str, str]) -> None:
    copy.edit("training/loop.py", lambda text: text.replace('"""', '"""Said otherwise. ', 1) + "\n# a comment\n")
    assert not _changed(before, copy.codes())


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_what_a_cell_runs_is_among_its_sources(tmp_path: Path, family: str) -> None:
    """Found by another way than the imports: by every file of which a tiny cell calls a function."""
    bench, cell = Bench(tmp_path), make_cell(family, "lora")
    ran: set[str] = set()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            ran.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        assert run_cell(cell, bench.job(family, "cell")) == Exit.DONE
    finally:
        sys.setprofile(None)
    files = {str(Path(file).relative_to(PACKAGE)) for file in ran if Path(file).is_relative_to(PACKAGE)}
    entries = (("stages", "train"), ("methods", "lora"), ("families", family))
    listed = {source for kind, name in entries for source in stages.ENTRIES[kind][name].sources}
    reasoned = {_path(name) for name in sources.NO_NUMBERS}
    # The lists of methods and of families belong to no stage, and neither do files of others that importing them runs.
    assert {file for file in files if file not in listed and file not in reasoned} <= _importable()
    assert "training/loop.py" in files and f"families/{family}/family.py" in files


def _path(module: str) -> str:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return str((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).relative_to(PACKAGE))


def _importable() -> set[str]:
    """Files of methods and families other than the cell's, whose module bodies run when the lists are imported."""
    return {
        source
        for kind in ("methods", "families")
        for entry in stages.ENTRIES[kind].values()
        for source in entry.sources
    }
