"""Span corruption and masked words hide the words that they report, and lose none."""

from __future__ import annotations

import numpy as np
import pytest

from petscale.pretraining.objectives import IGNORE, corrupt_spans, mask_words, pad

FIRST_SENTINEL = 100


def restored(inputs: list[int], labels: list[int]) -> list[int]:
    """Put the spans of the labels back where their sentinels stand."""
    spans: dict[int, list[int]] = {}
    for token in labels:
        if token >= FIRST_SENTINEL:
            current = spans.setdefault(token, [])
        elif token > 1:
            current.append(token)
    return [word for token in inputs if token > 1 for word in spans.get(token, [token])]


@pytest.mark.parametrize("chance", [0.0, 0.2, 1.0])
def test_spans_put_back_give_the_text(chance: float) -> None:
    rng = np.random.default_rng(3)
    rows = [rng.integers(2, 90, size=n).tolist() for n in (1, 5, 17, 30)]
    inputs, labels = corrupt_spans(pad(rows, 0), rng, np.full(200, chance), FIRST_SENTINEL)
    for row, given, wanted in zip(rows, inputs.tolist(), labels.tolist(), strict=True):
        assert restored(given, wanted) == row
        assert given.count(1) == 1 and wanted.count(1) == 1
        sentinels = [token for token in wanted if token >= FIRST_SENTINEL]
        assert sentinels == list(range(FIRST_SENTINEL, FIRST_SENTINEL + len(sentinels)))
        assert sentinels == [token for token in given if token >= FIRST_SENTINEL]
        assert sentinels


def test_words_without_a_chance_are_hidden_only_as_the_rest_of_a_span() -> None:
    chances = np.zeros(200)
    chances[50:] = 1.0
    ids = np.array([[2, 3, 60, 4, 5, 6, 7, 8]])
    _, labels = corrupt_spans(ids, np.random.default_rng(0), chances, FIRST_SENTINEL, extend=0.0)
    assert labels.tolist() == [[FIRST_SENTINEL, 60, 1]]


def test_masked_words_are_the_drawn_ones() -> None:
    ids = np.tile(np.arange(40), (200, 1))
    inputs, labels = mask_words(
        ids, np.random.default_rng(1), np.full(40, 0.2), mask=3, words=(5, 40), false=np.zeros((200, 40), bool)
    )
    drawn = labels != IGNORE
    assert not drawn[:, :5].any()
    assert (labels[drawn] == ids[drawn]).all() and (inputs[~drawn] == ids[~drawn]).all()
    assert 0.18 < drawn[:, 5:].mean() < 0.22
    assert 0.77 < (inputs[drawn] == 3).mean() < 0.83
