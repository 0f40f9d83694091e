"""The training recipe against a plain loop in torch (reference.py): every optimizer setting, four kinds of method.

Dropout is off: it is no setting of the optimizer, and its masks are the business of test_together.py.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from petscale.cells.spool import read_spool
from petscale.data.batches import epoch_batches
from petscale.errors import Exit
from petscale.study.cell import Cell
from petscale.training.loop import Limits, Loop
from petscale.training.progress import Progress
from petscale.training.run import run_cell
from petscale.training.schedule import learning_rate
from petscale.training.setup import Ready, prepare_cell
from training.bench import Bench, make_cell
from training.reference import Reference, load, rate_of

# What each method changes in the planned cell of the tiny study.
METHODS: dict[str, dict[str, Any]] = {
    "full": {},
    "lora": {"options": {"rank": 2, "alpha": 6}},
    "adapter": {"options": {"bottleneck": 3}},
    "apet-discrete": {},
}

PLAIN: dict[str, Any] = {
    "steps": 5,
    "batch_size": 24,  # four batches an epoch, so the fifth step is in the second one
    "learning_rate": 2e-3,
    "schedule": "constant",
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "clip_norm": 1e6,  # far above every gradient here
    "dropout": 0.0,
}

# One setting away from PLAIN each, then all at once.
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rate": {"learning_rate": 6e-3},
    "linear": {"schedule": "linear"},
    "warm-up": {"warmup_steps": 3},
    "warm-up and linear": {"warmup_steps": 2, "schedule": "linear"},
    "weight decay": {"weight_decay": 0.5},
    # Adam does not see the length of a gradient as long as it is far above epsilon, and sees nothing else below it.
    "clipping": {"clip_norm": 1e-7},
    "some steps clipped": {"clip_norm": {"t5": 3.0, "bert": 0.3}},
    "all": {"schedule": "linear", "warmup_steps": 2, "weight_decay": 0.3, "clip_norm": 3e-7, "learning_rate": 5e-3},
}

# Each setting with one method of each family, and each method with all of them at once.
CASES = sorted(
    {("t5", "lora", name) for name in SETTINGS}
    | {("bert", "full", name) for name in SETTINGS}
    | {(family, method, "all") for family in ("t5", "bert") for method in METHODS}
)
KEY_BIAS = re.compile(r"\.key\.bias/")


def make(family: str, method: str, **settings: Any) -> Cell:
    planned = make_cell(family, method if method in ("full", "apet-discrete") else "lora")
    chosen = {key: value[family] if isinstance(value, dict) else value for key, value in {**PLAIN, **settings}.items()}
    # One evaluation, after the last step: the best values are the last ones.
    chosen = {"evaluate_every": chosen["steps"], **chosen}
    return replace(planned, method=method, **chosen, **METHODS[method])


class Trained:
    """A cell trained by the package, and by the reference from the same start on the same batches."""

    def __init__(self, bench: Bench, folder: Path, cell: Cell, family: str, **how: Any) -> None:
        ready = prepare_cell(cell, bench.inputs[family], **how)
        self.start = ready.trained()
        self.reference = reference_of(ready, bench.inputs[family].backbone)
        self.journey = Loop(ready, folder, Progress(None, cell.steps), Limits()).run()
        train(self.reference, ready)
        self.found, self.expected = ready.trained(), self.reference.values

    def assert_same(self, tolerance: float) -> None:
        """The way that the values went is the same but for rounding: of all together, and of each tensor."""
        ours, theirs = (way(self.start, end) for end in (self.found, self.expected))
        for key in ours:
            assert distance(ours[key], theirs[key]) < 10 * tolerance, key
        assert distance(*(torch.cat([v.flatten() for v in one.values()]) for one in (ours, theirs))) < tolerance


def reference_of(ready: Ready, backbone: Path) -> Reference:
    """The reference at the cell's start."""
    masked = ((site.key(t), t) for site in ready.plan.sites for t in site.tensors if t.mask.structure != "dense")
    return Reference(
        load(backbone, ready.family.name, getattr(torch, ready.cell.precision)),
        ready.trained(),
        indices={key: torch.from_numpy(tensor.mask.indices(tensor.shape, key)) for key, tensor in masked},
        scale=3.0,  # alpha 6, rank 2
    )


def train(reference: Reference, ready: Ready) -> None:
    """The reference's own training of the cell."""
    cell = ready.cell

    def rate(step: int) -> float:
        return rate_of(
            step, peak=cell.learning_rate, schedule=cell.schedule, warmup=cell.warmup_steps, steps=cell.steps
        )

    reference.train(batches(ready), rate, decay=cell.weight_decay, clip=cell.clip_norm)


def batches(ready: Ready) -> Iterator[dict[str, Tensor]]:
    """The batches of a cell, epoch after epoch."""
    cell, examples = ready.cell, ready.tokens.split("train")
    epoch, left = 0, cell.steps
    while left:
        for indices in epoch_batches(examples.lengths, cell.batch_size, cell.seed, epoch)[:left]:
            yield ready.family.collate(examples, indices)
            left -= 1
        epoch += 1


def way(start: dict[str, Tensor], end: dict[str, Tensor]) -> dict[str, Tensor]:
    """From start to end; without key biases, which softmax cancels: AdamW makes steps of their rounding noise."""
    return {key: end[key] - start[key] for key in start if not KEY_BIAS.search(key)}


def distance(found: Tensor, expected: Tensor) -> float:
    """Of two vectors, in parts of the expected one's length."""
    return float((found - expected).norm() / expected.norm().clamp_min(1e-30))


@pytest.mark.parametrize(("family", "method", "settings"), CASES)
def test_values_losses_and_rates_are_the_reference_s(
    bench: Bench, tmp_path: Path, family: str, method: str, settings: str
) -> None:
    trained = Trained(bench, tmp_path, make(family, method, **SETTINGS[settings]), family)
    trained.assert_same(2e-4)
    told = list(read_spool(tmp_path / "metrics.jsonl"))
    rates = [record["value"] for record in told if record["key"] == "train/learning_rate"]
    losses = [record["value"] for record in told if record["key"] == "train/loss"]
    assert rates == pytest.approx(trained.reference.rates, rel=1e-12)
    assert losses == pytest.approx(trained.reference.losses, rel=1e-4)
    assert trained.journey.curve[-1].train_loss == pytest.approx(np.mean(trained.reference.losses), rel=1e-4)


@pytest.mark.parametrize(("family", "method"), [("t5", "lora"), ("bert", "full")])
def test_every_setting_takes_the_values_elsewhere(bench: Bench, family: str, method: str) -> None:
    """A setting without effect could be ignored unnoticed, so each must change the values."""
    ends = {}
    for name, settings in SETTINGS.items():
        ready = prepare_cell(make(family, method, **settings), bench.inputs[family])
        reference = reference_of(ready, bench.inputs[family].backbone)
        train(reference, ready)
        ends[name] = torch.cat([value.flatten() for value in way(ready.trained(), reference.values).values()])
        if name == "some steps clipped":
            assert min(reference.norms) < ready.cell.clip_norm < max(reference.norms)
    for name, end in ends.items():
        assert name == "plain" or distance(end, ends["plain"]) > 5e-4, name


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_a_batch_in_parts_is_one_step_of_the_recipe(bench: Bench, tmp_path: Path, family: str) -> None:
    """24 examples five at a time: the loss is a mean over the whole batch's targets, and is clipped once."""
    cell = make(family, "lora", **SETTINGS["all"])
    Trained(bench, tmp_path, cell, family, micro_batch=5).assert_same(2e-4)


@pytest.mark.parametrize(("family", "method"), [("t5", "full"), ("bert", "lora"), ("bert", "apet-discrete")])
def test_values_of_a_bfloat16_backbone_are_float32(bench: Bench, tmp_path: Path, family: str, method: str) -> None:
    """Steps of 1e-6 are far below bfloat16's spacing at most weights, and still add up as the reference's do."""
    cell = make(family, method, precision="bfloat16", learning_rate=1e-6, weight_decay=0.5)
    Trained(bench, tmp_path, cell, family).assert_same(0.05)


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0, [8, 8, 8, 8, 8, 8]),
        ("constant", 4, [2, 4, 6, 8, 8, 8]),
        ("linear", 0, [9, 7.5, 6, 4.5, 3, 1.5]),
        ("linear", 2, [4, 8, 8, 6, 4, 2]),
        ("linear", 6, [1, 2, 3, 4, 5, 6]),
        ("linear", 12, [1, 2, 3, 4, 5, 6]),  # the cell ends in warm-up
    ],
)
def test_rates_of_six_steps_by_hand(schedule: str, warmup: int, expected: list[float]) -> None:
    """The k-th of w warm-up steps has k / w of the peak; a linear rate has one step's fall left at its last step."""
    peak = {"constant": 8.0, "linear": {0: 9.0, 2: 8.0, 6: 6.0, 12: 12.0}.get(warmup)}[schedule]
    cell = replace(make_cell("t5", "lora"), steps=6, schedule=schedule, warmup_steps=warmup, learning_rate=peak)
    assert [learning_rate(cell, step) for step in range(6)] == pytest.approx(expected, rel=1e-12)


def test_the_curve_has_the_rate_of_the_last_step(bench: Bench) -> None:
    """curve.csv and metrics.jsonl of a published cell; the first row stands before the first step, at its rate."""
    cell = make("t5", "lora", **{**SETTINGS["all"], "evaluate_every": 2})
    job = bench.job("t5", "curve")
    assert run_cell(cell, job) == Exit.DONE
    peak = cell.learning_rate
    rates = [peak / 2, peak, peak, 2 / 3 * peak, 1 / 3 * peak]
    with open(job.folder / "curve.csv", newline="") as handle:
        rows = [(int(row["step"]), float(row["learning_rate"])) for row in csv.DictReader(handle)]
    assert rows == [(step, pytest.approx(rates[max(0, step - 1)], rel=1e-12)) for step in (0, 2, 4, 5)]
    told = {
        r["step"]: r["value"] for r in read_spool(job.folder / "metrics.jsonl") if r["key"] == "train/learning_rate"
    }
    assert told == {step: pytest.approx(rate, rel=1e-12) for step, rate in enumerate(rates, start=1)}
