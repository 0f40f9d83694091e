"""Reads csv and tsv files, and refuses those that would be read otherwise than they were meant.

A csv file is quoted as RFC 4180 says. A tsv file is either plain, as GLUE publishes it, where quotation marks are part
of the text, or quoted, as pandas and the csv module write it. It is taken as quoted if writing its records again, by
one of the three rules of these writers, gives exactly the same file.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from petscale.data.rows import Row, Rows, positions
from petscale.errors import BadInput
from petscale.tasks import Task

_FIELD_LIMIT = 1 << 27  # characters; news articles are longer than the csv module's limit of 131,072
_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}

KEPT_MARKS = "text in quotation marks, which are kept as part of it"
SEVERAL_LINES = "row of several lines, each of which could be a row of its own"


def read_separated(path: Path, task: Task, delimiter: str) -> Rows:
    """The columns of a task, from a file whose fields are separated by `delimiter`.

    Raises:
        BadInput: the file is no text, a column is missing or there twice, a row has more or fewer fields than the
            header, or a quotation mark that is never closed joins rows; the message names file, row and line.
    """
    csv.field_size_limit(_FIELD_LIMIT)
    try:
        quoted = delimiter == "," or _is_quoted(path, delimiter)
        return _read(path, task, delimiter, quoted)
    except UnicodeDecodeError:
        raise BadInput(_not_utf8(path)) from None


def _read(path: Path, task: Task, delimiter: str, quoted: bool) -> Rows:
    found = Rows(str(path), [], [], lines=[])
    records = _records(path, delimiter, quoted)
    header, _, (first, *_) = next(records, ([], 1, [""]))
    if not header:
        raise BadInput(f"{path}: no rows, not even a header with the names of the columns")
    _check_delimiter(path, task, first, header, delimiter)
    places = positions(header, task.columns, f"{path}: header")
    label = places.get(task.label_column or "")
    marks = several = 0
    for number, (record, line, lines) in enumerate(records, start=1):
        place = f"{path}: row {number} (line {line})"
        if len(record) != len(header):
            raise BadInput(f"{place}: {len(record)} fields, but the header has {len(header)}")
        if len(lines) > 1:
            alike = _rows_alike(lines, len(header), label, len(task.words("words")), delimiter)
            if label is not None and alike > 1:
                raise BadInput(
                    f"{place}: a quotation mark joins it with the lines up to {line + len(lines) - 1}, which read like"
                    " rows of their own; close it, or use jsonl if the text really has these lines"
                )
            several += label is None and alike == len(lines)
        row: Row = {column: record[position] for column, position in places.items()}
        if not quoted:
            marks += any(len(text) > 1 and text[0] == text[-1] == '"' for text in row.values())
        assert found.lines is not None
        found.lines.append(line)
        found.rows.append(row)
        found.numbers.append(number)
    found.tell(KEPT_MARKS, marks)
    found.tell(SEVERAL_LINES, several)
    return found


def _records(path: Path, delimiter: str, quoted: bool) -> Iterator[tuple[list[str], int, list[str]]]:
    """Each record that is not a blank line, with the number of its first line and its lines as written."""
    taken: list[str] = []
    with open(path, encoding="utf-8-sig", newline="") as handle:

        def remembered() -> Iterator[str]:
            for text in handle:
                taken.append(text)
                yield text

        if quoted:
            reader = csv.reader(remembered(), delimiter=delimiter, strict=True)
        else:
            reader = csv.reader(remembered(), delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
        row, line = 0, 1  # row 0 is the header
        while True:
            taken.clear()
            try:
                record = next(reader, None)
            except csv.Error as error:
                what = "a quotation mark is opened and never closed" if "end of data" in str(error) else str(error)
                raise BadInput(f"{path}: row {row} (line {line}): {what}") from None
            if record is None:
                return
            if record:
                yield record, line, taken
                row += 1
            line += len(taken)


def _is_quoted(path: Path, delimiter: str) -> bool:
    """Whether writing the records again, by one rule for all of them, gives the same file."""
    rules: list[Callable[[Sequence[str]], str]] = [
        lambda record: delimiter.join(map(_if_needed, record)),
        lambda record: delimiter.join(map(_marked, record)),
        lambda record: delimiter.join(text if _is_number(text) else _marked(text) for text in record),
    ]
    try:
        for record, _, lines in _records(path, delimiter, quoted=True):
            written = "".join(lines).removesuffix("\n").removesuffix("\r")
            rules = [rule for rule in rules if rule(record) == written]
            if not rules:
                return False
    except BadInput:
        return False
    return True


def _marked(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _if_needed(text: str) -> str:
    return _marked(text) if any(mark in text for mark in '"\t\r\n') else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rows_alike(lines: Sequence[str], fields: int, label: int | None, classes: int, delimiter: str) -> int:
    """How many lines of one record could be rows of their own: they have enough fields and a label in its place.

    In a record whose text really has several lines, only the line with the record's own label can.
    """
    alike = 0
    for line in lines:
        parts = [part.strip().strip('"') for part in line.split(delimiter)]
        if len(parts) >= fields:
            ends = [] if label is None else [parts[label], parts[label - fields]]
            alike += label is None or any(part.isdecimal() and len(part) < 3 and int(part) < classes for part in ends)
    return alike


def _check_delimiter(path: Path, task: Task, line: str, header: list[str], delimiter: str) -> None:
    """Refuse a file whose columns are there, but with another separator."""
    if set(task.columns) <= set(header):
        return
    for other, name in _NAMES.items():
        parts = {part.strip().strip('"') for part in line.split(other)}
        if other != delimiter and set(task.columns) <= parts:
            kind = path.suffix[1:]
            raise BadInput(
                f"{path}: its fields are separated by {name}, those of a {kind} file by {_NAMES[delimiter]};"
                f" write it anew with {_NAMES[delimiter]}"
            )


def _not_utf8(path: Path) -> str:
    """The message for text that is not UTF-8, with the line that is wrong."""
    with open(path, "rb") as handle:
        for number, line in enumerate(handle, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f"{path}: line {number}: not UTF-8 (byte {line[error.start]:#04x}); save the file as UTF-8"
    return f"{path}: not UTF-8; save the file as UTF-8"
