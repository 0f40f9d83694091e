"""The gradient of a batch is the same when the batch is divided into parts and shares."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from petscale.data.batches import IGNORED
from petscale.parallel.team import Team
from petscale.training.batch import step_batch
from petscale.training.gradient import Part, backward, cut
from petscale.training.setup import prepare_cell
from training.bench import Bench
from training.test_recipe import distance, make, reference_of


@pytest.mark.parametrize("micro_batch", [None, 1, 5, 8])
def test_parts_weigh_what_they_hold(bench: Bench, micro_batch: int | None) -> None:
    """Targets of one to six tokens, the short ones in front: the mean is over tokens, not over rows or parts.

    The reference takes the batch in at once and reads its gradient off autograd.
    """
    ready = prepare_cell(make("t5", "full"), bench.inputs["t5"], micro_batch=micro_batch)
    batch = ready.family.collate(ready.tokens.split("train"), torch.arange(8).numpy())
    generator = torch.Generator().manual_seed(0)
    batch["labels"] = torch.randint(3, 60, (8, 6), generator=generator)
    for row, length in enumerate([1, 1, 1, 2, 2, 3, 6, 6]):
        batch["labels"][row, length:] = IGNORED
    reference = reference_of(ready, bench.inputs["t5"].backbone)
    expected = reference.gradients(batch)
    loss = backward(ready, step_batch(batch, ready.family, ready.device), lambda: None)
    assert float(loss) == pytest.approx(reference.losses[0], rel=1e-6)
    assert not loss.requires_grad
    for key, parameter in ready.delta.named_parameters():
        assert parameter.grad is not None
        assert distance(parameter.grad, expected[key]) < 1e-5, key


def test_dropout_is_seeded_before_each_part(bench: Bench) -> None:
    """So every example meets the mask that it meets in the whole batch, however the batch is cut."""
    for micro_batch, expected in ((None, 1), (8, 1), (5, 2), (3, 3)):
        ready = prepare_cell(make("bert", "lora"), bench.inputs["bert"], micro_batch=micro_batch)
        collated = ready.family.collate(ready.tokens.split("train"), torch.arange(8).numpy())
        batch = step_batch(collated, ready.family, ready.device)
        calls: list[int] = []
        backward(ready, batch, lambda calls=calls: calls.append(1))
        assert len(calls) == expected


def test_shares_by_hand() -> None:
    """Seven rows, three members: two, two and three; at most two at once. Who has fewer parts repeats at weight 0."""
    targets = [1, 1, 2, 2, 4, 4, 6]
    found = [cut(targets, Team(rank, 3), 2) for rank in range(3)]
    assert found == [
        [Part(0, 2, 0.1), Part(0, 1, 0.0)],
        [Part(2, 4, 0.2), Part(0, 1, 0.0)],
        [Part(4, 6, 0.4), Part(6, 7, 0.3)],
    ]
    assert cut(targets, Team(), None) == [Part(0, 7, 1.0)]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 8), st.none() | st.integers(1, 40))
def test_each_row_weighs_its_targets_once(targets: list[int], size: int, most: int | None) -> None:
    """Over all members, in as many parts each, none longer than asked for."""
    shares = [cut(targets, Team(rank, size), most) for rank in range(size)]
    assert len({len(parts) for parts in shares}) == 1
    weighing = sorted((p for parts in shares for p in parts if p.weight), key=lambda part: part.first)
    assert [row for part in weighing for row in range(part.first, part.stop)] == list(range(len(targets)))
    for part in weighing:
        assert part.weight == pytest.approx(sum(targets[part.first : part.stop]) / sum(targets))
    assert all(0 < part.stop - part.first <= (most or len(targets)) for parts in shares for part in parts)
