"""The objectives of pre-training: corrupted spans (T5), and masked words with the next sentence (BERT).

All functions work on whole batches with numpy; -100 marks positions without a loss.

Notation used for array shapes: b: batch size, s: positions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Chances = NDArray[np.float64]
IGNORE = -100


def pad(rows: list[list[int]], value: int) -> Ids:
    """Rows of unequal length as one array (b, s), padded with `value`."""
    out = np.full((len(rows), max(map(len, rows))), value, dtype=np.int64)
    for index, row in enumerate(rows):
        out[index, : len(row)] = row
    return out


def _compress(values: Ids, keep: NDArray[np.bool_], fill: int) -> Ids:
    """Move the kept entries of each row to its front, in order, and fill the rest."""
    order = np.argsort(~keep, axis=1, kind="stable")[:, : int(keep.sum(1).max())]
    kept: Ids = np.where(np.take_along_axis(keep, order, 1), np.take_along_axis(values, order, 1), fill)
    return kept


def corrupt_spans(
    ids: Ids, rng: np.random.Generator, chances: Chances, first_sentinel: int, extend: float = 0.2
) -> tuple[Ids, Ids]:
    """Span corruption (Raffel et al. 2020, section 3.1.4) with `<pad>` 0 and `</s>` 1.

    A word begins a span with the probability of its id, and the span goes on to the next word with probability
    `extend`. At least one word of each row is hidden.

    Args:
        ids: (b, s) words without `</s>`, padded with 0.
        rng: the generator of all draws.
        chances: for each id of the vocabulary, the probability that it begins a span.
        first_sentinel: id of `<extra_id_0>`; the others follow it.
        extend: probability that a span goes on to the next word.

    Returns:
        Inputs (b, s1), each span replaced by one sentinel, and labels (b, s2), each sentinel followed by its span; both
        end in `</s>`.
    """
    b, s = ids.shape
    real = ids != 0
    hidden = rng.random((b, s)) < chances[ids]
    hidden[:, 1:] |= hidden[:, :-1] & (rng.random((b, s - 1)) < extend)
    forced = (rng.random(b) * real.sum(1)).astype(np.int64)
    hidden[np.arange(b), forced] |= ~(hidden & real).any(1)
    hidden &= real
    begins = hidden.copy()
    begins[:, 1:] &= ~hidden[:, :-1]
    sentinels = first_sentinel + np.cumsum(begins, axis=1) - 1
    end = np.ones((b, 1), dtype=np.int64)
    always = np.ones((b, 1), dtype=np.bool_)
    inputs = np.concatenate([np.where(begins, sentinels, ids), end], 1)
    inputs = _compress(inputs, np.concatenate([real & (~hidden | begins), always], 1), 0)
    pairs = np.stack([sentinels, ids], axis=2).reshape(b, 2 * s)
    wanted = np.stack([begins, hidden], axis=2).reshape(b, 2 * s)
    labels = _compress(np.concatenate([pairs, end], 1), np.concatenate([wanted, always], 1), IGNORE)
    return inputs, labels


def mask_words(
    ids: Ids, rng: np.random.Generator, chances: Chances, mask: int, words: tuple[int, int], false: NDArray[np.bool_]
) -> tuple[Ids, Ids]:
    """Masked words (Devlin et al. 2019, section 3.1): of the drawn words 80 % are masked, 10 % replaced, 10 % kept.

    Args:
        ids: (b, s) with special tokens, which are never drawn.
        rng: the generator of all draws.
        false: (b, s) words that were replaced by wrong ones; they are never drawn, or the model would learn them.
        chances: for each id of the vocabulary, the probability that it is drawn.
        mask: id of `[MASK]`.
        words: first id and one past the last id of ordinary words.

    Returns:
        Inputs and labels, both (b, s).
    """
    drawn = (rng.random(ids.shape) < chances[ids]) & (ids >= words[0]) & ~false
    fate = rng.random(ids.shape)
    inputs = np.where(drawn & (fate < 0.8), mask, ids)
    inputs = np.where(drawn & (fate >= 0.9), rng.integers(*words, ids.shape), inputs)
    return inputs, np.where(drawn, ids, IGNORE)
