"""Progress messages of a running cell: step, loss, dev score and time left, at most one line every two seconds."""

from __future__ import annotations

import logging
import time

from petscale.cells.state import StateFolder

log = logging.getLogger("petscale.cell")

REPORT_EVERY_S = 2.0


class Progress:
    """Writes the progress of a cell to its log and its status file."""

    def __init__(self, state: StateFolder | None, steps: int) -> None:
        """`state` is None in processes that do not lead, which write no status file and whose logs are switched off."""
        self._state = state
        self._steps = steps
        self._started = time.perf_counter()
        self._first_step: int | None = None
        self._reported = float("-inf")
        self._dev: float | None = None

    def is_due(self, step: int) -> bool:
        """Whether to report this step: none was reported for `REPORT_EVERY_S` seconds, or it is the last one."""
        return time.perf_counter() - self._reported >= REPORT_EVERY_S or step == self._steps

    def step(self, step: int, loss: float | None) -> None:
        """Report a finished step."""
        now = time.perf_counter()
        if self._first_step is None:
            self._first_step, self._started = step, now
        self._reported = now
        done = step - self._first_step
        left = (self._steps - step) * (now - self._started) / done if done else None
        log.info(
            "step %d/%d  loss %s  dev %s  left %s",
            step,
            self._steps,
            "-" if loss is None else f"{loss:.4f}",
            "-" if self._dev is None else f"{self._dev:.4f}",
            "-" if left is None else f"{int(left) // 60}:{int(left) % 60:02d}",
        )
        if self._state is not None:
            self._state.tell("running", step=step, steps=self._steps, loss=loss, dev=self._dev, left_s=left)

    def dev(self, step: int, score: float) -> None:
        """Report a dev evaluation."""
        self._dev = score
        log.info("step %d/%d  dev %.4f", step, self._steps, score)
