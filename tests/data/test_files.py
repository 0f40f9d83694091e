"""Files with rows are read in all four formats, and corrupt ones give a clear error."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from petscale.data import files
from petscale.errors import BadInput
from petscale.tasks import TASKS

TASK = TASKS["rotten_tomatoes"]  # columns text and label
ROWS = [{"text": 'he said "no"', "label": 0}, {"text": "naïve, 8\u2028o'clock", "label": 1}]


def _write(path: Path) -> None:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    elif path.suffix == ".tsv":
        path.write_text("text\tlabel\n" + "".join(f"{row['text']}\t{row['label']}\n" for row in ROWS))
    else:
        with open(path, "w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, ["text", "label"])
            writer.writeheader()
            writer.writerows(ROWS)


@pytest.mark.parametrize("suffix", files.READERS)
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"train.{suffix}"
    _write(path)
    found = files.read(path, TASK)
    assert [{**row, "label": int(row["label"])} for row in found.rows] == ROWS
    line = " (line 3)" if suffix in ("tsv", "csv") else ""  # line 1 is the header
    assert found.place(1) == f"{path}: row 2{line}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "a", "label": 1}\n\n{"x": \n', r"a\.jsonl: row 3: not valid JSON"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n[1]\n', r"a\.jsonl: row 2: a JSON object is needed, not list"),
        ("a.jsonl", b'{"text": "\xff"}\n', r"a\.jsonl: row 1: not valid JSON"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n' + b"[" * 100_000 + b"\n", r"a\.jsonl: row 2: not valid JSON"),
        ("a.parquet", b"PAR1 or not", r"a\.parquet: not a readable parquet file"),
        ("a.tsv", b"text\tlabel\n1\t2\n1\n", r"a\.tsv: row 2 \(line 3\): 1 fields, but the header has 2"),
        ("a.tsv", b"text\tlabel\n1\t2\t3\n", r"a\.tsv: row 1 \(line 2\): 3 fields, but the header has 2"),
        ("a.csv", b'text,label\n1,2\n"open,2\n', r"a\.csv: row 2 \(line 3\): a quotation mark is opened and never"),
        ("a.csv", b'text,label\n"a" b,2\n', r"a\.csv: row 1 \(line 2\): ',' expected after '\"'"),
        ("a.csv", b"text,label\nx,1\n1,\xff\n", r"a\.csv: line 3: not UTF-8 \(byte 0xff\)"),
        ("a.csv", b"", r"a\.csv: no rows, not even a header"),
    ],
)
def test_a_corrupt_file_is_named_with_its_row(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message) as error:
        files.read(path, TASK)
    assert "\n" not in str(error.value)


def test_a_parquet_column_of_broken_utf8_is_named(tmp_path: Path) -> None:
    """Parquet does not check its texts; the error that Python then raises is a traceback unless it is caught."""
    offsets, data = (pyarrow.py_buffer(part) for part in (b"\0\0\0\0\1\0\0\0", b"\xff"))
    texts = pyarrow.StringArray.from_buffers(1, offsets, data)
    table = pyarrow.table({"text": texts, "label": [1]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(BadInput, match=r"a\.parquet: not a readable parquet file"):
        files.read(tmp_path / "a.parquet", TASK)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.jsonl: cannot be read"):
        files.read(tmp_path / "gone.jsonl", TASK)


def test_two_files_of_one_split_are_ambiguous(tmp_path: Path) -> None:
    for suffix in ("jsonl", "csv"):
        _write(tmp_path / f"train.{suffix}")
    with pytest.raises(BadInput, match=r"both train\.jsonl and train\.csv"):
        files.find(tmp_path, "train")


def test_a_field_longer_than_the_csv_modules_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text("text\tlabel\n" + "x" * 200_000 + "\t1\n")
    assert len(files.read(path, TASK).rows[0]["text"]) == 200_000
