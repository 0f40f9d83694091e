"""Readers of files with rows: jsonl, parquet, tsv (without quoting, as in GLUE's files) and csv."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

from petscale.data.rows import Row, Rows
from petscale.errors import BadInput

_FIELD_LIMIT = 1 << 27  # characters; news articles are longer than the csv module's limit of 131,072


def _jsonl(path: Path) -> Rows:
    rows: list[Row] = []
    numbers: list[int] = []
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:  # RecursionError comes from lists nested a thousand deep
                raise BadInput(f"{path}: row {number}: not valid JSON ({error})") from None
            if not isinstance(row, dict):
                raise BadInput(f"{path}: row {number}: a JSON object is needed, not {type(row).__name__}")
            rows.append(row)
            numbers.append(number)
    return Rows(str(path), rows, numbers)


def _parquet(path: Path) -> Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"{path}: not a readable parquet file ({error})") from None
    return Rows(str(path), rows, list(range(1, len(rows) + 1)))


class _Tsv(csv.excel_tab):
    """Tab-separated values as GLUE publishes them: quotation marks are part of the text."""

    quoting = csv.QUOTE_NONE


def _separated(path: Path, dialect: type[csv.Dialect]) -> Rows:
    csv.field_size_limit(_FIELD_LIMIT)
    rows: list[Row] = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as lines:
            for row in csv.DictReader(lines, dialect=dialect, strict=True):
                if None in row or None in row.values():
                    raise BadInput(f"{path}: row {len(rows) + 1}: more or fewer fields than the header has")
                rows.append(row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: row {len(rows) + 1}: {error}") from None
    return Rows(str(path), rows, list(range(1, len(rows) + 1)))


READERS: dict[str, Callable[[Path], Rows]] = {
    "jsonl": _jsonl,
    "parquet": _parquet,
    "tsv": lambda path: _separated(path, _Tsv),
    "csv": lambda path: _separated(path, csv.excel),
}


def find(folder: Path, split: str) -> Path | None:
    """The file of one split, `<folder>/<split>.<format>`; None if there is none.

    Raises:
        BadInput: there are several files of the split.
    """
    found = [path for suffix in READERS if (path := folder / f"{split}.{suffix}").is_file()]
    if len(found) > 1:
        raise BadInput(f"{folder}: both {found[0].name} and {found[1].name}; keep one")
    return found[0] if found else None


def read(path: Path) -> Rows:
    """All rows of a file.

    Raises:
        BadInput: the file is unreadable or corrupt; the message names file and row.
    """
    try:
        return READERS[path.suffix[1:]](path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
