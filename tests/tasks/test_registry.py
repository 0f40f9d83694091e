"""Tasks are found by name, and a wrong entry is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from petscale.errors import BadInput
from petscale.tasks import TASKS, Task, lookup


def test_lookup_finds_every_task_by_its_own_name() -> None:
    for name, task in TASKS.items():
        assert lookup(name) is task
        assert task.name == name


def test_an_unknown_task_is_one_line_with_close_names() -> None:
    with pytest.raises(BadInput, match=r"^unknown task 'sst-2'; did you mean sst2\?$"):
        lookup("sst-2")
    with pytest.raises(BadInput, match=r"^unknown task 'zzz'; known: sst2, "):
        lookup("zzz")


def test_importing_tasks_loads_no_model_library() -> None:
    code = (
        "import sys, petscale.tasks; print(*sorted({'torch', 'transformers', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


VALID = TASKS["sst2"].model_dump()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"template": "{text}"}, "no columns"),
        ({"labels": None}, "belong together"),
        ({"unified": ("1", "1")}, "a digit of its own"),
        ({"label_column": None}, "one of"),
        ({"target_column": "sentence"}, "one of"),
        ({"label_column": "gold"}, "no column"),
        ({"hub": None}, "needs `hub`"),
        ({"hub": {**VALID["hub"], "revision": "main"}}, "pattern"),
        ({"metric": "f1"}, "Extra inputs"),
    ],
)
def test_an_inconsistent_entry_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Task.model_validate({**VALID, **change})


def test_entries_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TASKS["sst2"].version = 2  # type: ignore[misc]
