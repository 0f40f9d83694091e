"""The loop around a model whose losses and dev scores are written down, so that everything it records is known by hand.

The model's gradient is 1 in each entry, so AdamW without decay moves each entry by the rate of a step.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from petscale.cells.spool import read_spool
from petscale.data.batches import epoch_batches
from petscale.parallel.team import ALONE
from petscale.training import loop
from petscale.training.loop import Journey, Limits, Loop
from training.bench import make_cell

ROWS, BATCH = 7, 3  # three batches an epoch, the last of one row
LENGTHS = np.array([5, 1, 4, 2, 6, 3, 7])


class Model(nn.Module):
    """Gives the losses of a list, one after the other, and notes what it is given."""

    def __init__(self, losses: Sequence[float]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.losses, self.rows, self.seeds = iter(losses), [], []  # type: ignore[var-annotated]

    def forward(self, *, labels: Tensor, attention_mask: Tensor) -> Any:
        self.rows.append(labels.tolist())
        self.seeds.append(torch.initial_seed())
        return SimpleNamespace(loss=next(self.losses) + (self.w - self.w.detach()).sum())


class World:
    """A cell that is ready to train, as far as the loop looks into it."""

    def __init__(self, losses: Sequence[float], devs: Sequence[float | None], **settings: Any) -> None:
        """`losses` are those of the steps, `devs` the dev scores: before the first step, and at each evaluation."""
        plain = {"schedule": "constant", "warmup_steps": 0, "weight_decay": 0.0, "clip_norm": 1e6, "seed": 5}
        chosen = {**plain, "steps": len(losses), "evaluate_every": 2, "batch_size": BATCH, "learning_rate": 0.5}
        self.cell = replace(make_cell("t5", "lora"), **{**chosen, **settings})
        self.model, self.devs = Model(losses), iter(devs)
        self.parameters = [self.model.w]
        self.delta = SimpleNamespace(after_step=lambda: None, parameters=self.model.parameters)
        self.tokens = SimpleNamespace(split=lambda _name: SimpleNamespace(lengths=LENGTHS))
        self.family = SimpleNamespace(collate=self.collate, step_mask=lambda mask: mask)
        self.task = SimpleNamespace(metric="accuracy")
        self.team, self.device, self.autocast = ALONE, torch.device("cpu"), contextlib.nullcontext
        self.batches_an_epoch, self.micro_batch, self.sharded, self.identity = 3, None, None, "world"

    def collate(self, _examples: Any, indices: Any) -> dict[str, Tensor]:
        mask = torch.arange(8) < torch.from_numpy(LENGTHS[indices])[:, None]
        return {"labels": torch.from_numpy(indices), "attention_mask": mask}

    def evaluate(self, split: str) -> Any:
        assert split == "dev"
        scores = {"accuracy": SimpleNamespace(value=next(self.devs)), "other": SimpleNamespace(value=None)}
        return SimpleNamespace(scores=scores, seconds=0.25)

    def trained(self) -> dict[str, Tensor]:
        return {"w": self.model.w.detach()}

    def load_trained(self, tensors: dict[str, Tensor]) -> None:
        with torch.no_grad():
            self.model.w.copy_(tensors["w"])


class Told:
    """Progress that is due at given steps."""

    def __init__(self, *due: int) -> None:
        self.due, self.steps, self.devs = due, [], []  # type: ignore[var-annotated]

    def is_due(self, step: int) -> bool:
        return step in self.due

    def step(self, step: int, loss: float | None) -> None:
        self.steps.append((step, loss))

    def dev(self, step: int, score: float) -> None:
        self.devs.append((step, score))


def loop_of(world: World, folder: Path, told: Told | None = None) -> Loop:
    return Loop(world, folder, told or Told(), Limits())  # type: ignore[arg-type]


def train(world: World, folder: Path, told: Told | None = None) -> Journey:
    return loop_of(world, folder, told).run()


def spooled(folder: Path, key: str) -> dict[int, float]:
    return {r["step"]: r["value"] for r in read_spool(folder / "metrics.jsonl") if r["key"] == key}


def test_curve_values_and_spool_by_hand(tmp_path: Path) -> None:
    """Five steps, rates 1/2, 1, 1, 2/3, 1/3 of the peak; evaluations at 0, 2, 4 and 5, the best of them at 2 and 4."""
    world = World([8.0, 4.0, 3.0, 1.0, 5.0], [0.9, 0.5, 0.5, 0.4], schedule="linear", warmup_steps=2, learning_rate=0.6)
    journey = train(world, tmp_path)
    rates = [0.3, 0.6, 0.6, 0.4, 0.2]
    assert [row.step for row in journey.curve] == [0, 2, 4, 5]
    assert [row.dev for row in journey.curve] == [0.9, 0.5, 0.5, 0.4]
    assert [row.train_loss for row in journey.curve] == [None, 6.0, 2.0, 5.0]
    assert [row.learning_rate for row in journey.curve] == pytest.approx([0.3, 0.6, 0.4, 0.2])
    # The score before the first step counts for nothing, and of two equal ones the first does.
    assert (journey.best_step, journey.best_dev) == (2, 0.5)
    assert world.model.w.tolist() == pytest.approx([-0.9, -0.9])
    assert journey.diverged is None
    assert spooled(tmp_path, "train/loss") == {1: 8.0, 2: 4.0, 3: 3.0, 4: 1.0, 5: 5.0}
    assert spooled(tmp_path, "train/learning_rate") == pytest.approx(dict(enumerate(rates, start=1)))
    assert spooled(tmp_path, "dev/accuracy") == {0: 0.9, 2: 0.5, 4: 0.5, 5: 0.4}
    assert spooled(tmp_path, "dev/other") == {}


def test_batches_go_on_from_epoch_to_epoch(tmp_path: Path) -> None:
    """The fourth step is the first of the second epoch, which has an order of its own."""
    world = World([1.0] * 7, [0.0] * 5)
    journey = train(world, tmp_path)
    expected = [rows.tolist() for epoch in range(3) for rows in epoch_batches(LENGTHS, BATCH, 5, epoch)][:7]
    assert world.model.rows == expected
    assert journey.tokens == sum(int(LENGTHS[rows].sum()) for rows in expected)


def test_dropout_s_seed_is_the_cell_s_and_the_step_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """32 bits for the step, the seed above them: no two steps of any seeds share one. A GPU gets the same one."""
    world = World([1.0] * 3, [0.0] * 3)
    ours = loop_of(world, tmp_path)
    on_gpu: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed", on_gpu.append)
    ours.run()
    assert world.model.seeds == [5 * 2**32 + step for step in range(3)]
    assert on_gpu == []
    world.device = SimpleNamespace(type="cuda")  # type: ignore[assignment]
    ours._seed_dropout(2)
    assert on_gpu == [5 * 2**32 + 2]


@pytest.mark.parametrize("lost", [math.inf, math.nan])
def test_a_loss_that_is_no_number_ends_the_cell_at_its_step(tmp_path: Path, lost: float) -> None:
    """It is read at the evaluation two steps later, and what came after it is forgotten."""
    world = World([1.0, 2.0, 3.0, lost, 7.0, 8.0, 9.0, 9.0], [0.5, 0.6], evaluate_every=3)
    journey = train(world, tmp_path)
    assert journey.diverged == f"the training loss is {lost} at step 4"
    assert journey.step == 4
    assert len(world.model.rows) == 6
    assert journey.tokens == sum(int(LENGTHS[rows].sum()) for rows in world.model.rows[:4])
    assert [row.step for row in journey.curve] == [0, 3]
    assert list(spooled(tmp_path, "train/loss")) == [1, 2, 3, 4]
    assert world.model.w.tolist() == pytest.approx([-1.5, -1.5])  # the best values are those of step 3


def test_progress_is_told_the_mean_loss_so_far(tmp_path: Path) -> None:
    told = Told(2, 3)
    train(World([4.0, 2.0, 9.0, 5.0], [0.1, None, 0.3], evaluate_every=3), tmp_path, told)
    assert told.steps == [(2, 3.0), (3, 5.0)]
    assert told.devs == [(0, 0.1), (3, pytest.approx(math.nan, nan_ok=True)), (4, 0.3)]


def test_a_score_that_is_missing_is_never_the_best(tmp_path: Path) -> None:
    journey = train(World([1.0] * 4, [0.1, None, 0.3]), tmp_path)
    assert (journey.best_step, journey.best_dev) == (4, 0.3)
    assert spooled(tmp_path, "dev/accuracy") == {0: 0.1, 4: 0.3}


@pytest.mark.parametrize(("steps", "told"), [(2, [1, 2]), (5, [1, 2, 3, 4, 5]), (7, [2, 4, 6]), (9, [3, 6, 9])])
def test_long_cells_record_some_of_their_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, told: list[int]
) -> None:
    """Where three are asked for: every step up to five of them, then every second, then every third."""
    monkeypatch.setattr(loop, "SPOOLED_POINTS", 3)
    train(World([float(step) for step in range(1, steps + 1)], [0.0] * 6), tmp_path)
    assert spooled(tmp_path, "train/loss") == {step: float(step) for step in told}
    assert list(spooled(tmp_path, "train/learning_rate")) == told


def test_training_takes_no_longer_than_it_takes(tmp_path: Path) -> None:
    """The clock's own zero is anywhere, so a difference taken wrongly would show."""
    started = time.perf_counter()
    journey = train(World([1.0] * 4, [0.0] * 3), tmp_path)
    assert 0 < journey.train_s < time.perf_counter() - started
    assert journey.curve[-1].seconds == journey.train_s
    assert journey.evaluate_s == 0.75


def test_a_cell_without_steps_is_scored_at_rate_zero(tmp_path: Path) -> None:
    journey = train(World([], [0.4]), tmp_path)
    assert [(row.step, row.dev, row.learning_rate) for row in journey.curve] == [(0, 0.4, 0.0)]
    assert (journey.best_step, journey.best_dev, journey.mean_loss) == (0, 0.4, None)
