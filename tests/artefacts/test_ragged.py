"""Packed sequences give back what was packed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from petscale.artefacts.ragged import Ragged


@given(st.lists(st.lists(st.integers(0, 60_000), max_size=8), max_size=12), st.randoms())
def test_sequences_come_back_and_are_padded_to_the_longest(sequences: list[list[int]], random: object) -> None:
    packed = Ragged.of(sequences, np.uint16)
    assert len(packed) == len(sequences)
    assert [packed[index].tolist() for index in range(len(packed))] == sequences
    assert packed.lengths.tolist() == [len(sequence) for sequence in sequences]
    indices = np.arange(len(sequences))[::-1]
    values, mask = packed.padded(indices, -7)
    longest = max(map(len, sequences), default=0)
    assert values.tolist() == [sequences[i] + [-7] * (longest - len(sequences[i])) for i in indices]
    assert mask.sum(axis=1).tolist() == [len(sequences[i]) for i in indices]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=9))
def test_texts_come_back(texts: list[str]) -> None:
    packed = Ragged.of_texts(texts)
    assert [packed.text(index) for index in range(len(packed))] == texts
