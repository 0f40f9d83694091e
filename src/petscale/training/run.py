"""Runs one cell: takes its lock, trains, scores and publishes it, and gives every failure a cause and an exit code."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from petscale.cells.lock import CellLock, Fence
from petscale.cells.state import StateFolder
from petscale.errors import STOPPING, BadInput, DuplicateTrainer, Exit, Interrupted, PetscaleError
from petscale.families.registry import total_parameters
from petscale.parallel.launch import launch
from petscale.parallel.team import ALONE, Team
from petscale.study.cell import Cell
from petscale.training.loop import Limits, Loop
from petscale.training.progress import Progress
from petscale.training.publish import publish, publish_metrics
from petscale.training.setup import Inputs, prepare_cell, was_given_a_gpu
from petscale.training.telemetry import Telemetry

log = logging.getLogger("petscale.cell")

DEADLINE_MARGIN_S = 60.0


@dataclass
class Job:
    """The settings of one attempt: its input and output folders, its deadline and its devices."""

    inputs: Inputs
    folder: Path  # results/cells/<cell>
    state: Path  # results/state/<cell>
    started: float = field(default_factory=time.time)  # epoch seconds of the process that requested the cell
    deadline_s: float | None = None
    checkpoint_every_s: float = 300.0
    checkpoint_every_steps: int | None = None
    devices: int = 1  # several devices have one process each
    micro_batch: int | None = None


def run_cell(cell: Cell, job: Job) -> Exit:
    """Train, score and publish one cell. It never raises: the cause of a failure is in the state folder and the log.

    Returns:
        DONE (diverged cells included), DUPLICATE, INTERRUPTED, OUT_OF_MEMORY, BAD_INPUT or BUG.
    """
    try:
        with CellLock(job.state) as lock:
            state = StateFolder(job.state)
            attempt = state.begin()
            with _attempt_log(attempt):
                return _outcome(cell, job, state, lock.fence, attempt)
    except PetscaleError as error:  # from taking the lock
        print(f"petscale: {error}", file=sys.stderr)
        return error.exit_code


def _outcome(cell: Cell, job: Job, state: StateFolder, fence: Fence, attempt: Path) -> Exit:
    try:
        if job.devices == 1:
            cause = _train(cell, job, state, fence)
        else:
            cause = _train_together(cell, job, state, fence, attempt)
    except DuplicateTrainer as error:  # the state folder now belongs to the other trainer
        log.error("%s", error)
        return error.exit_code
    except Interrupted as error:
        state.end("interrupted", str(error))
        log.warning("%s", error)
        return Exit.INTERRUPTED
    except KeyboardInterrupt:
        cause = "stopped at once by Ctrl-C; the same command goes on from the last checkpoint"
        state.end("interrupted", cause)
        log.warning("%s: %s", cell.path, cause)
        return Exit.INTERRUPTED
    except PetscaleError as error:
        state.end("failed", str(error))
        log.error("%s", error)
        return error.exit_code
    except Exception as error:
        if is_lack_of_memory(error):
            cause = f"out of memory: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            state.end("failed", cause)
            log.error("%s", cause)
            return Exit.OUT_OF_MEMORY
        state.end("failed", f"{type(error).__name__}: {error}".splitlines()[0])
        log.error("%s", traceback.format_exc())
        return Exit.BUG
    state.end("diverged" if cause else "done", cause)
    return Exit.DONE


def is_lack_of_memory(error: Exception) -> bool:
    """Whether a device or the host ran out of memory; torch reports some of these cases only in the message."""
    words = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory")
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def _train_together(cell: Cell, job: Job, state: StateFolder, fence: Fence, attempt: Path) -> str | None:
    """Run `_train` in one process per device, while this process holds the lock and waits."""
    seen = torch.cuda.device_count()
    if seen < job.devices and (seen or was_given_a_gpu()):
        raise BadInput(f"petscale train: --devices {job.devices}: this job sees {seen} GPUs (hardware.max_devices)")
    try:
        result: str | None = launch(_member, (cell, job, fence, attempt), size=job.devices, imports=[__name__])
    finally:
        state.refresh()
    return result


def _member(team: Team, cell: Cell, job: Job, fence: Fence, attempt: Path) -> str | None:
    """Run one of several processes; the leading one writes the same log as a single process would."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if not team.leads:
        logging.getLogger("petscale").setLevel(logging.WARNING)
        return _train(cell, job, None, fence, team)
    with _attempt_log(attempt):
        return _train(cell, job, StateFolder(job.state), fence, team)


def _train(cell: Cell, job: Job, state: StateFolder | None, fence: Fence, team: Team = ALONE) -> str | None:
    """Train, score and publish; returns why the cell diverged, if it did. `state` is the leading process's."""
    # The flag is set for all of this: a signal before the first step stops there, and one during scoring waits until it
    # ends, since only publishing is left then.
    with _stop_flag(job) as stop:
        return _train_until(stop, cell, job, state, fence, team)


def _train_until(stop: Stop, cell: Cell, job: Job, state: StateFolder | None, fence: Fence, team: Team) -> str | None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.use_deterministic_algorithms(True, warn_only=True)
    ready = prepare_cell(cell, job.inputs, team=team, micro_batch=job.micro_batch)
    if ready.task.name != cell.task:
        raise BadInput(f"{job.inputs.tokens}: tokens of task {ready.task.name}, but the cell's task is {cell.task}")
    startup_s = time.time() - job.started
    log.info(
        "%s: %d trainable of %d, ready after %.2f s",
        cell.path,
        ready.plan.trainable,
        total_parameters(ready.shape),
        startup_s,
    )
    told = Telemetry(job.state, ready.device, count=team.size) if team.leads else contextlib.nullcontext()
    with told as telemetry:
        limits = Limits(
            stop=stop.is_due,
            asked=lambda: stop.asked,
            lost=fence.is_lost if team.leads else lambda: False,
            started=job.started,
            checkpoint_every_s=job.checkpoint_every_s,
            checkpoint_every_steps=job.checkpoint_every_steps,
        )
        loop = Loop(ready, job.state, Progress(state, cell.steps), limits)
        journey = loop.run()
        splits = () if journey.diverged else ("dev", "test", *ready.tokens.extra)
        evaluations = {
            # The dev set was scored with these weights when they were chosen.
            split: loop.best_evaluation if split == "dev" and loop.best_evaluation else ready.evaluate(split)
            for split in splits
        }
        peak_memory = loop.most_memory()
    if "test" in evaluations:
        scores = evaluations["test"].scores.items()
        loop.tell({f"test/{name}": s.value for name, s in scores if s.value is not None})
    if loop.spool is not None:
        loop.spool.close()
        if not fence.is_ours():
            raise DuplicateTrainer(f"{fence.path}: another trainer took this cell over; nothing is published")
        publish_metrics(job.state, job.folder)
    result = publish(
        job.folder,
        ready,
        journey,
        evaluations,
        energy_j=telemetry.energy_j if telemetry else None,
        startup_s=startup_s,
        wall_s=loop.wall_s(),
        peak_memory=peak_memory,
        attempts=state.status["attempts"] if state else (),
    )
    if result is None:
        return journey.diverged
    for leftover in job.state.glob("ckpt-*"):
        leftover.unlink(missing_ok=True)
    main = result.test[result.metric]
    log.info("%s: %s %s", cell.path, result.status, "-" if main.value is None else f"{result.metric} {main.value:.4f}")
    return result.cause


@dataclass
class Stop:
    """Whether an attempt should stop, because a signal asked for it or the job's deadline is near."""

    job: Job
    asked: bool = False
    by_hand: bool = False  # whether Ctrl-C asked

    def is_due(self, need_s: float) -> bool:
        """Whether the attempt should stop now, if stopping takes `need_s` seconds."""
        if self.asked or self.job.deadline_s is None:
            return self.asked
        margin = min(max(DEADLINE_MARGIN_S, need_s), self.job.deadline_s / 4)
        return time.time() - self.job.started > self.job.deadline_s - margin


@contextlib.contextmanager
def _stop_flag(job: Job) -> Iterator[Stop]:
    """Context in which a signal to stop is recorded instead of ending the process; a second Ctrl-C ends it at once.

    A further one is ignored, so that the cell can still say how it ended.

    Yields:
        The flag that the signal sets.
    """
    stop = Stop(job)

    def ask(signum: int, frame: object) -> None:
        again, stop.asked = stop.by_hand, True
        if signum == signal.SIGINT:
            stop.by_hand = True
            if again:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                raise KeyboardInterrupt

    # Signals that are ignored stay so: under nohup, in the background of a shell, in the members of a team.
    before = {s: signal.signal(s, ask) for s in STOPPING if signal.getsignal(s) != signal.SIG_IGN}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_IGN if signum == signal.SIGINT and stop.by_hand else handler)


@contextlib.contextmanager
def _attempt_log(path: Path) -> Iterator[None]:
    """Also write the log to the state folder, because Snakemake removes a rule's log before the next attempt."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("petscale")
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
