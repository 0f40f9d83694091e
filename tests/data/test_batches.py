"""Batches have every example once, depend only on (seed, epoch) and need little padding; collation is checked, too."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from petscale.artefacts.ragged import Ragged
from petscale.data.batches import epoch_batches, scoring_batches
from petscale.data.tokens import Examples
from petscale.families.registry import FAMILIES

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=400)


def examples(**arrays: Any) -> Examples:
    """Two or more examples with the given arrays; ids and references are dummies."""
    flat: dict[str, Any] = {}
    count = len(arrays["label"])
    texts = Ragged.of_texts(["x"] * count)
    for name, array in {**arrays, "id": texts, "reference": texts}.items():
        flat[name] = array.values if isinstance(array, Ragged) else np.array(array)
        if isinstance(array, Ragged):
            flat[f"{name}.offsets"] = array.offsets
    flat["reference_count"] = np.ones(count, np.int32)
    manifest = {"label_words": [], "label_tokens": [], "target_length": 4, "pad": 0, "end": 1}
    return Examples(flat, manifest)


@given(LENGTHS, st.integers(1, 40), st.integers(0, 3), st.integers(0, 3))
def test_every_example_once_in_a_stable_number_of_batches(lengths: list[int], size: int, seed: int, epoch: int) -> None:
    batches = epoch_batches(lengths, size, seed, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // size)
    assert sum(len(batch) < size for batch in batches) <= 1
    again = epoch_batches(np.array(lengths), size, seed, epoch)
    assert all(np.array_equal(one, two) for one, two in zip(batches, again, strict=True))


def test_epochs_and_seeds_differ() -> None:
    lengths = np.arange(1, 201)
    orders = {tuple(np.concatenate(epoch_batches(lengths, 8, seed, epoch))) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4


def test_the_order_is_pinned() -> None:
    # A cell that is resumed elsewhere must see the same batches: a change here is a new version of the stage.
    assert [batch.tolist() for batch in epoch_batches([5, 3, 9, 1, 7, 2, 8], 3, seed=7, epoch=2)] == PINNED


PINNED = [[3, 1, 6], [4], [5, 0, 2]]


@given(st.integers(1, 700), st.integers(1, 6), st.integers(0, 3))
@example(count=40, size=4, seed=0)  # ten batches: pools of three, so that there are four of them
@example(count=700, size=4, seed=0)  # 175 batches: pools of 32
def test_order_by_a_second_implementation(count: int, size: int, seed: int) -> None:
    """Lists and words: shuffle, cut into pools, sort each by length (ties as shuffled), cut into batches, shuffle.

    A pool has 32 batches, or a quarter of all batches, rounded up, where there are few.
    """
    lengths = [hash_of(index) % 50 for index in range(count)]
    random = np.random.Generator(np.random.PCG64([seed, 3]))
    order = random.permutation(count).tolist()
    batches_a_pool = min(32, -(-count // (4 * size)))
    ordered: list[int] = []
    while order:
        pool, order = order[: batches_a_pool * size], order[batches_a_pool * size :]
        ordered += sorted(pool, key=lambda index: lengths[index])
    batches = [ordered[start : start + size] for start in range(0, count, size)]
    expected = [batches[place] for place in random.permutation(len(batches))]
    assert [batch.tolist() for batch in epoch_batches(lengths, size, seed, epoch=3)] == expected


def hash_of(index: int) -> int:
    """Scattered, and equal in every run."""
    return index * 2_654_435_761 % 2**32 >> 7


def test_batches_hold_examples_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(1, 257, 4000)
    padded = sum(len(batch) * lengths[batch].max() for batch in epoch_batches(lengths, 32, 0, 0))
    assert padded < 1.1 * lengths.sum()
    order = np.random.default_rng(1).permutation(4000).reshape(-1, 32)
    assert sum(32 * lengths[batch].max() for batch in order) > 1.8 * lengths.sum()


@given(LENGTHS, st.integers(1, 2000))
def test_scoring_batches_keep_to_their_tokens(lengths: list[int], tokens: int) -> None:
    array = np.array(lengths)
    batches = scoring_batches(array, tokens)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    longest = [int(array[batch].max()) for batch in batches]
    assert longest == sorted(longest, reverse=True)
    assert all(len(batch) == 1 or len(batch) * top <= tokens for batch, top in zip(batches, longest, strict=True))


def test_scoring_batches_by_hand() -> None:
    """As many as fit: ten of one token in ten; an example of no tokens takes no room and breaks nothing."""
    assert [len(batch) for batch in scoring_batches(np.ones(12, int), 10)] == [10, 2]
    assert [batch.tolist() for batch in scoring_batches(np.array([0, 3, 0, 4]), 7)] == [[3], [1, 0], [2]]
    assert [batch.tolist() for batch in scoring_batches(np.zeros(3, int), 2)] == [[0, 1], [2]]
    assert [batch.tolist() for batch in scoring_batches(np.array([9]), 7)] == [[0]]


def test_t5_batches() -> None:
    split = examples(
        source=Ragged.of([[5, 6, 1], [7, 1], [8, 8, 8, 1]], np.uint16),
        target=Ragged.of([[9, 1], [4, 4, 1], [2, 1]], np.uint16),
        label=[0, 1, 0],
    )
    batch = FAMILIES["t5"].collate(split, np.array([1, 0]))
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[7, 1, 0], [5, 6, 1]],
        "attention_mask": [[1, 1, 0], [1, 1, 1]],
        "labels": [[4, 4, 1], [9, 1, -100]],
    }
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}


def test_bert_batches() -> None:
    split = examples(
        source=Ragged.of([[101, 7, 102, 8, 102], [101, 9, 102]], np.uint16),
        first=[3, 3],
        label=[1, 0],
    )
    batch = FAMILIES["bert"].collate(split, np.array([0, 1]))
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[101, 7, 102, 8, 102], [101, 9, 102, 0, 0]],
        "attention_mask": [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]],
        "token_type_ids": [[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]],
        "labels": [1, 0],
    }
