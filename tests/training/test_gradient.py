"""The gradient of a batch is the same when the batch is divided into parts and shares."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from petscale.data.batches import IGNORED
from petscale.parallel.team import Team
from petscale.training.batch import StepBatch, step_batch
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


class Line(nn.Module):
    """The mean squared error of a line over all targets of some rows; a row has as many targets as it has numbers."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.w = nn.Parameter(torch.randn(3, generator=generator, dtype=torch.float64))
        self.unused = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.seen: list[int] = []

    def forward(self, *, x: Tensor, y: Tensor) -> Any:
        self.seen.append(len(x))
        return SimpleNamespace(loss=((x @ self.w)[:, None] - y)[~y.isnan()].square().mean())


class Member(Team):
    """A member that sends nothing, and notes what it should have sent."""

    def all_reduce(self, tensors: Any) -> None:
        SENT.append(list(tensors))


SENT: list[list[Tensor]] = []
COUNTS = [1, 1, 2, 2, 4, 4, 6]


def of_line(team: Team, micro_batch: int | None, **more: Any) -> tuple[Line, Tensor]:
    """A line with its gradients, and the loss, after a batch of seven rows."""
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(7, width, generator=generator, dtype=torch.float64) for width in (3, 6))
    for row, count in enumerate(COUNTS):
        y[row, count:] = torch.nan
    line = Line()
    ready = SimpleNamespace(team=team, micro_batch=micro_batch, model=line, device=torch.device("cpu"), sharded=None)
    ready.parameters, ready.autocast = list(line.parameters()), contextlib.nullcontext
    ready.__dict__.update(more)
    loss = backward(ready, StepBatch({"x": x, "y": y}, COUNTS, 0), lambda: None)  # type: ignore[arg-type]
    assert not loss.requires_grad
    return line, loss


@pytest.mark.parametrize(
    ("size", "micro_batch", "seen"),
    [
        (1, None, [7]),
        (1, 7, [7]),
        (1, 3, [3, 3, 1]),
        (2, None, [3, 4]),
        (2, 2, [2, 1, 2, 2]),
        (3, None, [2, 2, 3]),
        (3, 2, [2, 1, 2, 1, 2, 1]),  # the first two repeat their first row where the third has a row left
    ],
)
def test_members_and_parts_add_up_to_the_whole_batch(size: int, micro_batch: int | None, seen: list[int]) -> None:
    """Their losses and gradients, each on its own here, against the formula of a mean over the 20 targets."""
    whole, _ = of_line(Team(), None)
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(7, width, generator=generator, dtype=torch.float64) for width in (3, 6))
    error = [
        (float(x[row] @ whole.w) - float(y[row, k]), x[row]) for row, count in enumerate(COUNTS) for k in range(count)
    ]
    lines, losses = zip(*(of_line(Member(rank, size), micro_batch) for rank in range(size)), strict=True)
    assert [rows for line in lines for rows in line.seen] == seen
    assert float(sum(losses)) == pytest.approx(sum(e**2 for e, _ in error) / 20)
    gradient = sum((2 * e * of_row for e, of_row in error), torch.zeros(3, dtype=torch.float64)) / 20
    torch.testing.assert_close(sum(line.w.grad for line in lines), gradient)


def test_only_what_has_a_gradient_is_sent() -> None:
    """The loss and the gradients, in place; those of a sharded model were sent in its backward pass."""
    SENT.clear()
    line, loss = of_line(Member(1, 2), 2)
    (losses, gradients) = SENT
    assert losses[0] is loss
    assert [gradient is line.w.grad for gradient in gradients] == [True]
    SENT.clear()
    of_line(Member(1, 2), 2, sharded=object())
    assert len(SENT) == 1
