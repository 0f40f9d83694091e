"""The same rows in jsonl, csv, tsv and parquet are read as the same rows, or refused with one line that says why.

Files are written with the csv module, json and pyarrow, which share no code with the readers but for the parsers.
"""

from __future__ import annotations

import csv
import json
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petscale.data import files
from petscale.data.checks import check_split
from petscale.errors import BadInput
from petscale.tasks import TASKS, Task
from tally import Tally

from .test_fuzz import FUZZ, one_line

# Texts of which readers are known to make something else: marks, breaks, separators, other spellings of nothing.
WORDS = (
    *('"', '""', "'", "\t", "\n", "\r\n", ",", ";", "|", "\\", "\\n", "\u2028", "\x85", "\x1c", "\x00", "\ufeff"),
    *("NaN", "None", "null", "NA", "1", "-1", "1.0", "1e5", "TRUE", "[", "]", "['a' 'b']", '["a"]', "{}", "#", "sep=,"),
    *("naïve", "吃了吗", "مرحبا", "नमस्ते", "😀", "</s>", "[SEP]", " ", "a", "film", "sentence", "label"),
)
TEXT = st.lists(st.sampled_from(WORDS) | st.text(st.characters(codec="utf-8"), max_size=4), min_size=1, max_size=5).map(
    "".join
)
NAMES = st.sampled_from((*WORDS, "", "idx", "label", "sentence", "Label", " label", "question", "answer", "sentence1"))


@st.composite
def tables(draw: st.DrawFn) -> tuple[Task, list[str], list[list[Any]]]:
    """A task, the names of a table's columns in any order, some of them odd or repeated, and rows of it."""
    task = TASKS[draw(st.sampled_from(("sst2", "mrpc", "nq_open", "samsum")))]
    extra = draw(st.lists(NAMES | st.text(st.characters(codec="utf-8"), max_size=3), max_size=3))
    names = draw(st.permutations([*task.columns, *extra]))
    rows = []
    for _ in range(draw(st.integers(1, 5))):
        row: list[Any] = []
        for name in names:
            if name == task.label_column:
                row.append(draw(st.integers(0, 1)))
            elif name == task.target_column and task.kind == "qa":
                row.append(draw(st.lists(TEXT, min_size=1, max_size=3)))
            else:
                row.append(draw(TEXT))
        rows.append(row)
    return task, names, rows


def write(path: Path, names: list[str], rows: list[list[Any]]) -> None:
    """A table in the format of the path's suffix; lists are JSON where a format has none."""
    if path.suffix == ".parquet":
        columns = [pyarrow.array(list(column)) for column in zip(*rows, strict=True)]
        pyarrow.parquet.write_table(pyarrow.Table.from_arrays(columns, names=names), path)
        return
    if path.suffix == ".jsonl":
        pairs = [[f"{json.dumps(n)}: {json.dumps(v)}" for n, v in zip(names, row, strict=True)] for row in rows]
        path.write_text("".join(f"{{{', '.join(row)}}}\n" for row in pairs))
        return
    flat = [[json.dumps(value) if isinstance(value, list) else value for value in row] for row in rows]
    with open(path, "w", newline="", encoding="utf-8") as handle:
        if path.name.startswith("plain"):
            handle.writelines("\t".join(map(str, row)) + "\n" for row in [names, *flat])
        else:
            csv.writer(handle, csv.excel if path.suffix == ".csv" else csv.excel_tab).writerows([names, *flat])


def is_plain(names: list[str], rows: list[list[Any]]) -> bool:
    """Whether a tsv file can hold the table without quoting, as GLUE's do."""
    texts = [json.dumps(value) if isinstance(value, list) else str(value) for row in [names, *rows] for value in row]
    return not any(mark in text for text in texts for mark in "\t\n\r") and not any(t.startswith('"') for t in texts)


def outcome(path: Path, task: Task) -> list[dict[str, Any]] | str:
    """The checked rows, or in a word what is wrong with them."""
    try:
        found = check_split(task, files.read(path, task), flaws="refuse")
    except BadInput as error:
        refusal = error
    else:
        assert found.numbers == list(range(1, len(found) + 1))
        return found.rows
    one_line(refusal, str(path))
    assert "\n" not in str(refusal)
    known = ("is there twice", "is empty", "a quotation mark joins it with the lines")
    return next((word for word in known if word in str(refusal)), str(refusal))


def is_visible(text: str) -> bool:
    return any(not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf") for char in text)


def expected(task: Task, names: list[str], rows: list[list[Any]]) -> list[dict[str, Any]] | str:
    """What every reader must find in the table."""
    if any(Counter(names)[column] > 1 for column in task.columns):
        return "is there twice"
    picked = [{name: row[names.index(name)] for name in task.columns} for row in rows]
    for row in picked:
        if isinstance(row.get("answer"), list):
            row["answer"] = [answer for answer in row["answer"] if is_visible(answer)]
        if not all(value if isinstance(value, list) else is_visible(str(value)) for value in row.values()):
            return "is empty"
    return picked


def compare(folder: Path, task: Task, names: list[str], rows: list[list[Any]]) -> None:
    kinds = ["rows.jsonl", "rows.parquet", "rows.csv", "rows.tsv", *(["plain.tsv"] if is_plain(names, rows) else [])]
    for kind in kinds:
        write(folder / kind, names, rows)
        found = outcome(folder / kind, task)
        # A text of several lines, two of which look like rows, is refused where only quotation marks hold it together.
        if kind not in ("rows.csv", "rows.tsv") or found != "a quotation mark joins it with the lines":
            assert found == expected(task, names, rows), kind


@settings(max_examples=200, **FUZZ)
@given(tables())
def test_formats_agree(tmp_path: Path, table: tuple[Task, list[str], list[list[Any]]]) -> None:
    compare(tmp_path, *table)


@pytest.mark.slow
def test_formats_agree_on_many_tables(tmp_path: Path, tally: Callable[[str], Tally]) -> None:
    fault = tally("an odd table in jsonl, csv, tsv and parquet")

    @settings(max_examples=2_500, **FUZZ)
    @given(tables())
    def one(table: tuple[Task, list[str], list[list[Any]]]) -> None:
        with fault.trying():
            compare(tmp_path, *table)

    one()
