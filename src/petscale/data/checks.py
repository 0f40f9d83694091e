"""Checks of rows before anything is trained on them: columns, labels, texts, no train row in an evaluation split."""

from __future__ import annotations

import re
import reprlib
import string
import unicodedata
from collections.abc import Collection, Mapping
from typing import Any, Literal

from petscale.data.answers import parse_answers
from petscale.data.rows import Row, Rows, pick
from petscale.errors import BadInput
from petscale.tasks import Task

Flaws = Literal["refuse", "drop"]
"""What to do with flawed rows: those with an empty text, and train rows whose input is also in an evaluation split.
Published data sets have some."""


CONTRADICTION = "same input with another label"
SWAPPED = "pair whose texts, swapped, are in an evaluation split"
MISSING = "text that reads nan, None or null"
NO_WORDS = "target without a letter or digit, for which ROUGE is 0"
ONE_CLASS = "only one class"

_MISSING_WORDS = frozenset({"nan", "none", "null", "<na>"})


def input_columns(task: Task) -> tuple[str, ...]:
    """The columns that the model reads, in the order of the template."""
    named = [field for _, field, _, _ in string.Formatter().parse(task.template) if field]
    return tuple(dict.fromkeys(named))


def input_key(row: Row, columns: Collection[str]) -> str:
    """A key that is equal for rows whose inputs differ only in case and spacing."""
    return "\x1f".join(" ".join(row[column].casefold().split()) for column in columns)


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: spaces, and characters without a width such as U+200B or a byte-order mark."""
    return not text.strip() or all(char.isspace() or unicodedata.category(char) in ("Cf", "Cc") for char in text)


def _label(task: Task, value: Any, place: str) -> int:
    words = task.words("words")
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        ids = ", ".join(f"{label} {word}" for label, word in enumerate(words))
        hint = f"; labels are ids ({ids})" if isinstance(value, str) and value.strip().casefold() in words else ""
        raise BadInput(f"{place}: label {reprlib.repr(value)} is no integer{hint}")
    if not 0 <= value < len(words):
        raise BadInput(f"{place}: label {value} is outside 0 to {len(words) - 1} ({', '.join(words)})")
    return value


def _answers(value: Any, place: str, column: str) -> list[str]:
    """The accepted answers: a list of texts, which csv and tsv files give as one text (`petscale.data.answers`)."""
    if isinstance(value, str):
        found = parse_answers(value)
        if found is None:
            shown = reprlib.repr(value)
            raise BadInput(f"{place}: column {column!r} holds {shown}, a list that cannot be read; write it as JSON")
        value = [found] if isinstance(found, str) else found
    if not isinstance(value, list) or not all(isinstance(answer, str) for answer in value):
        raise BadInput(f"{place}: column {column!r} must be a list of texts")
    for answer in value:
        _check_text(answer, place, column)
    return [answer for answer in value if not is_blank(answer)]


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
            an empty text, if flaws are refused.
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
        values = pick(row, task.columns, place)
        blank = None
        for column in texts:
            if not isinstance(values[column], str | None):
                raise BadInput(f"{place}: column {column!r} must be a text, not {type(values[column]).__name__}")
            _check_text(values[column] or "", place, column)
            if is_blank(values[column] or ""):
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
    kept = Rows(split.origin, checked, split.numbers, split.dropped, split.lines, dict(split.told))
    result = kept.without(empty, "empty text")
    if not result.rows:
        raise BadInput(f"{split.origin}: no rows but empty ones")
    _tell(task, result)
    return result


def _tell(task: Task, split: Rows) -> None:
    """Count what is accepted, since it may be meant, but what a reader of the scores must know."""
    columns = input_columns(task)
    split.tell(MISSING, sum(any(_is_missing(row[column]) for column in task.columns) for row in split.rows))
    if task.label_column:
        split.tell(CONTRADICTION, len(_contradictions(task, split, columns)))
    elif task.kind != "qa":
        targets = (row[task.target_column or ""] for row in split.rows)
        split.tell(NO_WORDS, sum(not any(char.isalnum() for char in text) for text in targets))


def _is_missing(value: Any) -> bool:
    texts = value if isinstance(value, list) else [value]
    return any(isinstance(text, str) and text.strip().casefold() in _MISSING_WORDS for text in texts)


def _contradictions(task: Task, split: Rows, columns: Collection[str]) -> list[int]:
    """Indices of the rows whose input is also there with another label."""
    labels: dict[str, set[int]] = {}
    keys = [input_key(row, columns) for row in split.rows]
    for key, row in zip(keys, split.rows, strict=True):
        labels.setdefault(key, set()).add(row[task.label_column or ""])
    return [index for index, key in enumerate(keys) if len(labels[key]) > 1]


def tell_swapped(task: Task, train: Rows, evaluation: Mapping[str, Rows]) -> None:
    """Count the train rows whose two texts, in the other order, are the input of an evaluation row."""
    columns = input_columns(task)
    if len(columns) != 2:
        return
    held = {input_key(row, columns[::-1]) for split in evaluation.values() for row in split.rows}
    train.tell(SWAPPED, sum(input_key(row, columns) in held for row in train.rows))


def tell_one_class(task: Task, labels: Collection[int], told: dict[str, int]) -> None:
    """Tell that all chosen rows of a split have one label, which a model can learn without reading."""
    if task.label_column and len(set(labels)) == 1:
        told[f"{ONE_CLASS} ({task.words('words')[next(iter(labels))]})"] = len(labels)


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
