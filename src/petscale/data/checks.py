"""Checks of rows before anything is trained on them: columns, labels, texts, no train row in an evaluation split."""

from __future__ import annotations

import json
import re
import reprlib
import string
from collections.abc import Mapping
from typing import Any, Literal

from petscale.data.rows import Row, Rows
from petscale.errors import BadInput
from petscale.tasks import Task

Flaws = Literal["refuse", "drop"]
"""What to do with flawed rows: those with an empty text, and train rows whose input is also in an evaluation split.
Published data sets have some."""


def input_columns(task: Task) -> tuple[str, ...]:
    """The columns that the model reads, in the order of the template."""
    named = [field for _, field, _, _ in string.Formatter().parse(task.template) if field]
    return tuple(dict.fromkeys(named))


def input_key(row: Row, columns: tuple[str, ...]) -> str:
    """A key that is equal for rows whose inputs differ only in case and spacing."""
    return "\x1f".join(" ".join(row[column].casefold().split()) for column in columns)


def _label(task: Task, value: Any, place: str) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadInput(f"{place}: label {reprlib.repr(value)} is no integer")
    words = task.words("words")
    if not 0 <= value < len(words):
        raise BadInput(f"{place}: label {value} is outside 0 to {len(words) - 1} ({', '.join(words)})")
    return value


def _answers(value: Any, place: str, column: str) -> list[str]:
    """The accepted answers: a list of texts, which csv and tsv files give as JSON or as one plain text."""
    if isinstance(value, str):
        try:
            parsed = json.loads(value)
        except (ValueError, RecursionError):
            parsed = value
        value = parsed if isinstance(parsed, list) else [value]
    if not isinstance(value, list) or not all(isinstance(answer, str) for answer in value):
        raise BadInput(f"{place}: column {column!r} must be a list of texts")
    for answer in value:
        _check_text(answer, place, column)
    return [answer for answer in value if answer.strip()]


def _check_text(value: str, place: str, column: str) -> None:
    """Refuse half of a surrogate pair, which JSON can contain but neither parquet nor a tokenizer accepts."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = value[error.start]
        raise BadInput(
            f"{place}: column {column!r} holds {half!r}, half of a surrogate pair, which is no text"
        ) from None


def check_split(task: Task, split: Rows, *, flaws: Flaws) -> Rows:
    """Check one split and convert its values to their types; the given rows are not changed.

    Published data sets have a few empty texts; such rows are refused, or dropped and counted.

    Raises:
        BadInput: there are no rows, a column is missing, a value is no text, or a label is not one of the task's; also
        an
            empty text, if flaws are refused.
    """
    if not split.rows:
        raise BadInput(f"{split.origin}: no rows")
    empty: set[int] = set()
    checked: list[Row] = []
    texts = [column for column in task.columns if column not in (task.label_column, task.target_column)]
    if task.target_column and task.kind != "qa":
        texts.append(task.target_column)
    for index, row in enumerate(split.rows):
        place = split.place(index)
        missing = [column for column in task.columns if column not in row]
        if missing:
            raise BadInput(f"{place}: column {missing[0]!r} is missing (there are: {', '.join(map(str, row))})")
        values = {column: row[column] for column in task.columns}
        blank = None
        for column in texts:
            if not isinstance(values[column], str | None):
                raise BadInput(f"{place}: column {column!r} must be a text, not {type(values[column]).__name__}")
            _check_text(values[column] or "", place, column)
            if not (values[column] or "").strip():
                blank = column
        if task.label_column:
            values[task.label_column] = _label(task, row[task.label_column], place)
        elif task.kind == "qa" and task.target_column:
            values[task.target_column] = _answers(row[task.target_column], place, task.target_column)
            blank = blank or (None if values[task.target_column] else task.target_column)
        if blank and flaws == "refuse":
            raise BadInput(f"{place}: column {blank!r} is empty")
        if blank:
            empty.add(index)
        checked.append(values)
    result = Rows(split.origin, checked, split.numbers, split.dropped).without(empty, "empty text")
    if not result.rows:
        raise BadInput(f"{split.origin}: no rows but empty ones")
    return result


def check_apart(task: Task, train: Rows, evaluation: Mapping[str, Rows], *, flaws: Flaws) -> Rows:
    """Return the train rows without those whose input is also in an evaluation split.

    Published data sets overlap a little (IMDB by about a hundred reviews); such train rows are refused, or dropped and
    counted.

    Raises:
        BadInput: flaws are refused and a train row's input is also in an evaluation split; the message names both
        places.
    """
    columns = input_columns(task)
    held: dict[str, str] = {}
    for split in evaluation.values():
        for index, row in enumerate(split.rows):
            held.setdefault(input_key(row, columns), split.place(index))
    leaked = {index for index, row in enumerate(train.rows) if input_key(row, columns) in held}
    if leaked and flaws == "refuse":
        first = min(leaked)
        other = held[input_key(train.rows[first], columns)]
        more = f" ({len(leaked)} such rows)" if len(leaked) > 1 else ""
        raise BadInput(f"{train.place(first)}: the same input stands in {other}{more}")
    return train.without(leaked, "input in an evaluation split")
