"""Every row and every example is processed by exactly one member of a team."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from petscale.data.batches import scoring_batches
from petscale.parallel.launch import launch
from petscale.parallel.team import Team
from petscale.scoring.answers import Answers
from petscale.scoring.evaluate import _merged
from petscale.training.gradient import cut


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [1, 2, 7, 16])
@pytest.mark.parametrize("most", [None, 1, 3, 100])
def test_parts_cover_a_batch_once(rows: int, size: int, most: int | None) -> None:
    """Members wait for each other in each part, so all have equally many; the weights sum to the batch."""
    targets = [3 + row % 4 for row in range(rows)]
    shares = [cut(targets, Team(rank, size), most) for rank in range(size)]
    assert len({len(parts) for parts in shares}) == 1
    real = [part for parts in shares for part in parts if part.weight]
    assert sorted(row for part in real for row in range(part.first, part.stop)) == list(range(rows))
    assert all(part.stop - part.first <= (most or rows) for part in real)
    for part in real:
        assert part.weight == pytest.approx(sum(targets[part.first : part.stop]) / sum(targets))


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [0, 1, 5, 23])
def test_examples_are_scored_once(rows: int, size: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 40, rows)
    shares = [np.concatenate([np.zeros(0), *scoring_batches(lengths, 64, rank, size)]) for rank in range(size)]
    assert sorted(np.concatenate(shares)) == list(range(rows))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


class Echo(Team):
    """A team of which the other member says the same."""

    def gather(self, value: Any) -> list[Any]:
        return [value, value]


def test_an_example_that_is_answered_twice_is_noticed() -> None:
    answers = Answers(["a", "b"], {"accuracy": np.ones(2)}, 0, True)
    with pytest.raises(RuntimeError, match="each example once"):
        _merged(answers, [np.array([0, 1])], Echo(0, 2))


def collectives(team: Team) -> dict[str, Any]:
    numbers = [torch.full((2, 3), float(team.rank + 1)), torch.full((4,), 10.0 * team.rank)]
    team.all_reduce(numbers)
    lead = torch.arange(3.0) if team.leads else None
    return {
        "any": [team.any(team.rank == 1), team.any(False)],
        "gather": team.gather(f"rank {team.rank}"),
        "broadcast": team.gather(team.broadcast(team.rank)),
        "all_reduce": [tensor.tolist() for tensor in numbers],
        "scatter": team.gather(team.scatter(lead, torch.zeros(3)).tolist()),
    }


def test_members_hear_each_other() -> None:
    found = launch(collectives, (), size=3, imports=["petscale.parallel.team"])
    assert found["any"] == [True, False]
    assert found["gather"] == ["rank 0", "rank 1", "rank 2"]
    assert found["broadcast"] == [0, 0, 0]
    assert found["all_reduce"] == [[[6.0] * 3] * 2, [30.0] * 4]
    assert found["scatter"] == [[0.0, 1.0, 2.0]] * 3
