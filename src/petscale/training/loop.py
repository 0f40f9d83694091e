"""The training loop, which can resume at any step.

Everything random is a function of (seed, step): the order of examples depends on (seed, epoch), and dropout is reseeded
at each step. So a checkpoint needs no generator state, and an interrupted cell reaches the same numbers.

Several processes may run the loop of one cell together, each with its share of every batch (training/gradient.py). They
make the same decisions at every step, and only the leading process writes. Checkpoints hold whole tensors and do not
depend on the number of processes.

No training step waits for the device. The loss of a step stays there until it is read (training/tally.py): before an
evaluation or a checkpoint, and when progress is reported. So the host prepares the next batch while the device
computes.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from petscale.cells.published import METRICS
from petscale.cells.spool import Spool, spool_digest
from petscale.data.batches import epoch_batches
from petscale.errors import DuplicateTrainer, Interrupted
from petscale.parallel.team import full_tensor
from petscale.scoring.evaluate import Evaluation
from petscale.training.batch import StepBatch, step_batch
from petscale.training.checkpoint import Checkpoint, load_newest, save_checkpoint
from petscale.training.gradient import backward
from petscale.training.progress import Progress
from petscale.training.schedule import learning_rate
from petscale.training.setup import Ready
from petscale.training.tally import Step, Tally
from petscale.training.telemetry import peak_memory

log = logging.getLogger("petscale.cell")

POINT_SAVED_AFTER_S = 2.0  # after an evaluation a checkpoint is saved if the last one is at least this old
SPOOLED_POINTS = 500  # number of steps whose training metrics are recorded, however long a cell trains


@dataclass
class Curve:
    """The columns of curve.csv, with one entry for each evaluation."""

    step: int
    tokens: int
    train_loss: float | None
    dev: float
    learning_rate: float
    seconds: float


@dataclass
class Journey:
    """The progress of a cell, as plain data that a checkpoint can store."""

    step: int = 0
    tokens: int = 0
    best_step: int = 0
    best_dev: float = -math.inf
    loss_sum: float = 0.0
    loss_steps: int = 0
    train_s: float = 0.0
    evaluate_s: float = 0.0
    wall_s: float = 0.0  # of earlier attempts, up to the checkpoint from which this one continues
    peak_memory: int = 0  # bytes, over all attempts
    diverged: str | None = None
    curve: list[Curve] = field(default_factory=list)

    @property
    def mean_loss(self) -> float | None:
        """Mean training loss since the last evaluation, in nats per token."""
        return self.loss_sum / self.loss_steps if self.loss_steps else None

    def to_data(self) -> dict[str, Any]:
        """The state as JSON can hold it, which has no infinity: no dev score yet becomes null."""
        data = asdict(self)
        return {**data, "best_dev": None if self.best_dev == -math.inf else self.best_dev}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Journey:
        """The state from what `to_data` gave."""
        best = -math.inf if data["best_dev"] is None else data["best_dev"]
        return cls(**{**data, "best_dev": best, "curve": [Curve(**row) for row in data["curve"]]})


@dataclass(kw_only=True)
class Limits:
    """Conditions that stop the loop before its last step, and the times at which it saves checkpoints."""

    stop: Callable[[float], bool] = lambda need_s: False  # whether to stop, if stopping takes `need_s` seconds
    asked: Callable[[], bool] = lambda: False  # whether a signal asked to stop, which also counts before the first step
    lost: Callable[[], bool] = lambda: False  # whether another trainer took the cell over
    started: float = field(default_factory=time.time)  # epoch seconds of this attempt
    checkpoint_every_s: float = 300.0
    checkpoint_every_steps: int | None = None


class Loop:
    """Trains one cell from its newest checkpoint (or from step 0) to its last step."""

    def __init__(self, ready: Ready, state: Path, progress: Progress, limits: Limits) -> None:
        self.ready, self.cell, self.team = ready, ready.cell, ready.team
        self.state, self.progress, self.limits = state, progress, limits
        self.optimizer = torch.optim.AdamW(
            ready.parameters or [torch.nn.Parameter(torch.zeros(0))],
            lr=self.cell.learning_rate,
            weight_decay=self.cell.weight_decay,
            fused=True,
        )
        self.journey = Journey()
        self.tally = Tally()
        self.spool: Spool | None = None  # None in processes that do not lead
        self.best: dict[str, torch.Tensor] = {}
        self.best_evaluation: Evaluation | None = None  # on dev; None if an earlier attempt made it
        self._epoch = -1
        self._order: list[np.ndarray] = []
        self._saved_at = time.monotonic()
        self._save_s = 0.0  # seconds that the last checkpoint took
        self._evaluate_s = 0.0  # seconds that the last evaluation took
        self._last = Step(0, 0, 0.0)  # the step at which the cell diverged, if it did
        self._resume()

    # State ------------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        found = self._found() if self.team.leads else None
        journey = self.team.broadcast(None if found is None else found.data["journey"])
        if journey is None:
            return
        self.journey = Journey.from_data(journey)
        parts: dict[str, dict[str, torch.Tensor]] = {"now": {}, "best": {}, "optimizer": {}}
        for name, tensor in (found.tensors if found else {}).items():
            part, _, key = name.partition("/")
            parts[part][key] = tensor
        self.ready.load_trained(parts["now"])
        self.best = parts["best"]
        self._load_optimizer(parts["optimizer"])

    def _found(self) -> Checkpoint | None:
        """Find the checkpoint to continue from, if any, and open the spool at the length that it records."""
        spool = self.state / METRICS

        def fits(data: Mapping[str, Any]) -> bool:
            digest = spool_digest(spool, data["spool"])
            return digest is not None and digest == data["spool_sha256"]

        found = load_newest(self.state, digest=self.ready.identity, fits=fits)
        self.spool = Spool(spool, resume_at=found.data["spool"] if found else 0)
        return found

    def _load_optimizer(self, tensors: dict[str, torch.Tensor]) -> None:
        state: dict[int, dict[str, torch.Tensor]] = {}
        parameters = self.optimizer.param_groups[0]["params"]
        for name in self.team.broadcast(list(tensors)):
            index, _, key = name.partition("/")
            # Moments are sharded in the same way as their parameter; the count of steps is a single number.
            value = tensors.get(name)
            laid = self.team.broadcast(value) if key == "step" else self.team.scatter(value, parameters[int(index)])
            assert laid is not None
            state.setdefault(int(index), {})[key] = laid
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})

    def checkpoint(self) -> None:
        """Save the state that the next attempt needs.

        Raises:
            DuplicateTrainer: another trainer took the cell over, because this one gave no heartbeat; nothing is
            written.
        """
        if self.team.any(self.limits.lost()):
            raise DuplicateTrainer(f"{self.state}: another trainer took this cell over; this one leaves it")
        started = time.monotonic()
        self.journey.peak_memory = self.most_memory()
        tensors = {f"now/{name}": tensor for name, tensor in self.ready.trained().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            values = ((key, full_tensor(value)) for key, value in state.items())
            tensors |= {f"optimizer/{index}/{key}": value.cpu() for key, value in values if self.team.leads}
        if self.spool is not None:
            length = self.spool.sync()
            data = {
                "digest": self.ready.identity,
                "journey": {**self.journey.to_data(), "wall_s": self.wall_s()},
                "spool": length,
                "spool_sha256": spool_digest(self.state / METRICS, length),
            }
            save_checkpoint(self.state, self.journey.step, Checkpoint(tensors, data))
        self._saved_at = time.monotonic()
        self._save_s = self._saved_at - started

    def wall_s(self) -> float:
        """Seconds that the cell took, including earlier attempts (a killed one counts up to its last checkpoint)."""
        return self.journey.wall_s + time.time() - self.limits.started

    def most_memory(self) -> int:
        """Peak memory in bytes, the largest of any process and attempt."""
        return max(self.journey.peak_memory, *self.team.gather(peak_memory(self.ready.device)))

    # Training ---------------------------------------------------------------------------------------------

    def run(self) -> Journey:
        """Train to the last step and put the best delta back into the model.

        Raises:
            Interrupted: the limits stopped the loop; a checkpoint was saved.
            DuplicateTrainer: another trainer took the cell over.
        """
        journey, steps = self.journey, self.cell.steps
        if self.team.any(self.limits.asked()):
            raise Interrupted(f"{self.state}: stopped before step {journey.step + 1}; the same command goes on")
        self.ready.model.train()  # scoring restores the mode that it finds
        if journey.step == 0 and not journey.curve:
            self._evaluate(select=steps == 0)
            if self.team.any(self._is_time_to_save(is_point=True)):
                self.checkpoint()
        while journey.step < steps:
            self.train_step()
            is_point = journey.step % self.cell.evaluate_every == 0 or journey.step == steps
            saves = self.team.any(self._is_time_to_save(is_point))
            stops = journey.step < steps and self.team.any(self.limits.stop(2 * self._save_s + self._evaluate_s))
            if not (is_point or saves or stops):
                continue
            # All processes come here at the same step, so all of them see a divergence here.
            self._read_losses()
            if self._ends_at_divergence():
                break
            if is_point:
                self._evaluate(select=True)
            if saves or stops:
                self.checkpoint()
            if stops:
                raise Interrupted(f"{self.state}: stopped at step {journey.step} of {steps}; the same command goes on")
        if self.team.any(bool(self.best)):
            self.ready.load_trained(self.best)
        if self.spool is not None:
            self.spool.sync()
        return journey

    def _is_time_to_save(self, is_point: bool) -> bool:
        """Whether to save a checkpoint after this step; `is_point` says that an evaluation follows it."""
        age, every = time.monotonic() - self._saved_at, self.limits.checkpoint_every_steps
        # Saving checkpoints between evaluations may take at most a tenth of the time, however large they are.
        due = age >= (POINT_SAVED_AFTER_S if is_point else max(self.limits.checkpoint_every_s, 10 * self._save_s))
        return due or (every is not None and self.journey.step > 0 and self.journey.step % every == 0)

    def train_step(self) -> None:
        """Take the next step; its loss stays on the device."""
        started = time.perf_counter()
        journey, ready = self.journey, self.ready
        rate = learning_rate(self.cell, journey.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self._batch(journey.step)
        loss = backward(ready, batch, lambda: self._seed_dropout(journey.step))
        torch.nn.utils.clip_grad_norm_(ready.parameters, self.cell.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        ready.delta.after_step()
        journey.step += 1
        journey.tokens += batch.tokens
        self.tally.add(Step(journey.step, journey.tokens, rate), loss)
        journey.train_s += time.perf_counter() - started
        if self.progress.is_due(journey.step):
            self._read_losses()
            self.progress.step(journey.step, journey.mean_loss)

    def _read_losses(self) -> None:
        """Read the losses of the steps since the last reading, which waits until the device has computed them."""
        started = time.perf_counter()
        journey = self.journey
        for step, loss in self.tally.read():
            if journey.diverged is not None:
                break
            journey.loss_sum += loss
            journey.loss_steps += 1
            if step.number % max(1, self.cell.steps // SPOOLED_POINTS) == 0:
                self.tell({"train/loss": loss, "train/learning_rate": step.rate}, step.number)
            if not math.isfinite(journey.loss_sum):
                journey.diverged = f"the training loss is {journey.loss_sum} at step {step.number}"
                self._last = step
        journey.train_s += time.perf_counter() - started

    def _ends_at_divergence(self) -> bool:
        """Whether the loss was no finite number at some step that was read; then the journey is set back to it."""
        if self.journey.diverged is not None:
            self.journey.step, self.journey.tokens = self._last.number, self._last.tokens
        return self.journey.diverged is not None

    def _seed_dropout(self, step: int) -> None:
        # torch.manual_seed is not used: without a GPU it stores a stack trace at each call, a tenth of a small step.
        seed = (self.cell.seed << 32) + step
        torch.default_generator.manual_seed(seed)
        if self.ready.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _batch(self, step: int) -> StepBatch:
        examples = self.ready.tokens.split("train")
        batches = self.ready.batches_an_epoch
        epoch, index = divmod(step, batches)
        if self._epoch != epoch:
            self._order = epoch_batches(examples.lengths, self.cell.batch_size, self.cell.seed, epoch)
            self._epoch = epoch
        family = self.ready.family
        return step_batch(family.collate(examples, self._order[index]), family, self.ready.device)

    # Evaluation -------------------------------------------------------------------------------------------

    def _evaluate(self, *, select: bool) -> None:
        journey = self.journey
        evaluation = self.ready.evaluate("dev")
        journey.evaluate_s += evaluation.seconds
        self._evaluate_s = evaluation.seconds
        score = evaluation.scores[self.ready.task.metric].value
        dev = float("nan") if score is None else score
        loss = journey.mean_loss
        journey.loss_sum, journey.loss_steps = 0.0, 0
        journey.curve.append(
            Curve(
                step=journey.step,
                tokens=journey.tokens,
                train_loss=loss,
                dev=dev,
                learning_rate=learning_rate(self.cell, max(0, journey.step - 1)) if self.cell.steps else 0.0,
                seconds=journey.train_s,
            )
        )
        if select and dev > journey.best_dev:
            journey.best_dev, journey.best_step = dev, journey.step
            self.best = {name: tensor.clone() for name, tensor in self.ready.trained().items()}
            self.best_evaluation = evaluation
        told = {f"dev/{name}": value.value for name, value in evaluation.scores.items() if value.value is not None}
        self.tell(told)
        self.progress.dev(journey.step, dev)

    def tell(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Write metrics of a step, by default the current one, to the spool."""
        if self.spool is not None:
            self.spool.write(self.journey.step if step is None else step, metrics)
