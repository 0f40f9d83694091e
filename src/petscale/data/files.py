"""Readers of files with rows: jsonl, parquet, tsv and csv. Each reads the columns of a task and no others."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from petscale.artefacts.kinds import foreign
from petscale.data.label_names import check_label_names
from petscale.data.rows import Rows, listed, pick, positions, twice
from petscale.data.separated import read_separated
from petscale.errors import BadInput
from petscale.tasks import Task

_HEAD = 4096  # bytes that are looked at before a file is read
_SYNONYMS = {"validation": ("validation", "valid", "dev", "val"), "train": ("train",), "test": ("test",)}
_PART = re.compile(r"-(\d+)-of-(\d+)\.parquet$")
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")


class _Repeated(dict[str, Any]):
    """A JSON object in which some keys are there twice; Python alone would keep the last value without a word."""

    repeated: frozenset[str]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    marked = _Repeated(found)
    marked.repeated = frozenset(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return marked


def _jsonl(path: Path, task: Task) -> Rows:
    found = Rows(str(path), [], [])
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            place = f"{path}: row {number}"
            if not found.rows:
                _check_one_a_line(path, line)
            try:
                row = json.loads(line.decode(), object_pairs_hook=_object)
            except (ValueError, RecursionError) as error:  # RecursionError comes from lists nested a thousand deep
                raise BadInput(f"{place}: not valid JSON ({error})") from None
            if not isinstance(row, dict):
                raise BadInput(f"{place}: a JSON object is needed, not {type(row).__name__}")
            for column in task.columns:
                if isinstance(row, _Repeated) and column in row.repeated:
                    raise twice(column, place)
            found.rows.append(pick(row, task.columns, place))
            found.numbers.append(number)
    return found


def _check_one_a_line(path: Path, line: bytes) -> None:
    """Name the two other layouts of JSON files, by the first line that is not empty."""
    start = line.strip()
    advice = 'one object a line is needed (pandas: `to_json(path, orient="records", lines=True)`)'
    if start.startswith(b"["):
        raise BadInput(f"{path}: a JSON array; {advice}")
    if start == b"{":
        raise BadInput(f"{path}: a JSON object over several lines; {advice}")


def _parquet(path: Path, task: Task) -> Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        # `read_table` would refuse files in which any two columns have one name, even if nobody reads them.
        file = pyarrow.parquet.ParquetFile(path)
        schema = file.schema_arrow
        positions(schema.names, task.columns, str(path))
        check_label_names(task, _published_names(schema, task), str(path))
        table = file.read(columns=list(task.columns))
        columns = {name: table.column(name).to_pylist() for name in task.columns}
    except (pyarrow.ArrowException, ValueError, OverflowError, OSError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{path}: not a readable parquet file ({first})") from None
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return Rows(str(path), rows, list(range(1, len(rows) + 1)))


def _published_names(schema: Any, task: Task) -> list[str] | None:
    """The names of the labels that `datasets` stores in a parquet file; None if there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[task.label_column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


READERS: dict[str, Callable[[Path, Task], Rows]] = {
    "jsonl": _jsonl,
    "parquet": _parquet,
    "tsv": lambda path, task: read_separated(path, task, "\t"),
    "csv": lambda path, task: read_separated(path, task, ","),
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


def lookalikes(folder: Path, splits: Iterable[str]) -> str:
    """The end of a message about a missing file: files that may be meant, and what to do with them."""
    words = [word for split in splits for word in _SYNONYMS.get(split, (split,))]
    names = sorted(path.name for path in folder.iterdir() if any(word in path.name.lower() for word in words))
    if not names:
        return ""
    first = names[0]
    part = _PART.search(first)
    if first.endswith(_PACKED):
        advice = "unpack it"
    elif part and int(part[2]) > 1:
        advice = f"join its {int(part[2])} parts to one file"
    else:
        advice = "rename it"
    return f"; there is {listed([first])}: {advice}"


def read(path: Path, task: Task) -> Rows:
    """The columns of a task, from all rows of a file.

    Raises:
        BadInput: the file is unreadable, corrupt or of another kind than its name says, or a column is missing or there
            twice; the message names file and row.
    """
    try:
        with open(path, "rb") as handle:
            kind = foreign(handle.read(_HEAD))
        if kind is not None:
            raise BadInput(f"{path}: {kind}")
        return READERS[path.suffix[1:]](path, task)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
