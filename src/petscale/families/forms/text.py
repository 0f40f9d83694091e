"""Turns texts into token ids: sequences for models that read one text, segments for models that read a pair."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from petscale.artefacts.ragged import Ragged
from petscale.errors import BadInput
from petscale.tasks import Task

SLICE = 1000
"""Number of texts that are encoded at once: an encoding takes dozens of bytes per token before it is cut, and articles
are long."""

Spans = Callable[[int], list[tuple[int, int]]]
"""Function from a row's index to the positions of its two texts in the source, in characters."""


def spans_of_texts(task: Task, columns: Mapping[str, list[Any]]) -> Spans | None:
    """The function that finds the two texts in a source; None if the source is not made of two prepared texts."""
    prepared = {task.text_a: columns["text_a"], task.text_b: columns["text_b"]}
    parts = [
        (literal, f"{{{field}}}" if field else None) for literal, field, _, _ in string.Formatter().parse(task.template)
    ]
    fields = [field for _, field in parts if field]
    if len(fields) != 2 or not set(fields) <= set(prepared):
        return None

    def find(row: int) -> list[tuple[int, int]]:
        place, spans = 0, []
        for literal, field in parts:
            place += len(literal)
            if field:
                spans.append((place, place + len(prepared[field][row])))
                place = spans[-1][1]
        return spans

    return find


def _bare(ids: Sequence[int], end: int) -> list[int]:
    """Ids without an end of sequence, whether or not the tokenizer appends one.

    The released code of Su et al. writes `</s>` into the target and then tokenises it, which adds a second one.
    """
    bare = list(ids)
    while bare and bare[-1] == end:
        bare.pop()
    return bare


def _cut_pair(item: Encoding, ids: list[int], spans: list[tuple[int, int]], room: int) -> list[int]:
    """Cut `ids`, the ids of `item` without end of sequence, to `room` at the end of the longer text."""
    first, second = (
        [place for place in range(len(ids)) if low <= item.offsets[place][0] < item.offsets[place][1] <= high]
        for low, high in spans
    )
    kept = max(0, len(first) + len(second) - (len(ids) - room))
    # The shorter text is not cut if it fits into half of the remaining room, as for BERT's pairs.
    of_first = min(len(first), max(kept - len(second), kept - kept // 2))
    dropped = {*first[of_first:], *second[kept - of_first :]}
    return [token for place, token in enumerate(ids) if place not in dropped][:room]


def closed_sequences(
    tokenizer: Tokenizer, texts: Sequence[str], end: int, length: int | None, spans: Spans | None = None
) -> tuple[list[list[int]], int]:
    """Ids with one end of sequence, at most `length` in all, and the number of texts that were cut."""
    sequences: list[list[int]] = []
    cut = 0
    for start in range(0, len(texts), SLICE):
        items = tokenizer.encode_batch_fast(list(texts[start : start + SLICE]))
        for row, item in enumerate(items, start):
            ids = _bare(item.ids, end)
            if length is not None and len(ids) >= length:
                cut += 1
                # Offsets take time, so batches are encoded without them; a text that is cut is encoded again.
                whole = tokenizer.encode(texts[row]) if spans else item
                ids = _cut_pair(whole, ids, spans(row), length - 1) if spans else ids[: length - 1]
            sequences.append([*ids, end])
    return sequences, cut


def segments(
    tokenizer: Tokenizer, task: Task, columns: Mapping[str, list[Any]], length: int, end: int
) -> tuple[dict[str, Any], int]:
    """Segments [CLS] a [SEP] (b [SEP]), and the number of cut ones; in a pair, the longer text is cut."""
    pairs = columns["text_a"]
    if task.text_b is not None:
        pairs = list(zip(columns["text_a"], columns["text_b"], strict=True))
    tokenizer.enable_truncation(length, strategy="longest_first")
    items = tokenizer.encode_batch_fast(pairs)
    if any(item.ids[-1] != end for item in items):
        raise BadInput(f"task {task.name}: the tokenizer does not close sequences with [SEP]")
    arrays = {
        "source": Ragged.of([item.ids for item in items], np.uint16),
        "first": np.array([item.type_ids.count(0) for item in items], np.int32),
    }
    return arrays, sum(bool(item.overflowing) for item in items)
