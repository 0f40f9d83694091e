"""Learning-rate schedules as pure functions of the step."""

from __future__ import annotations

from petscale.study.cell import Cell


def learning_rate(cell: Cell, step: int) -> float:
    """The rate of optimizer step `step` of a cell: 0, ..., `steps` - 1.

    Linear warm-up over `warmup_steps`, then constant (Su et al. B.3: no warm-up) or linear to zero at `steps`.
    """
    if step < cell.warmup_steps:
        return cell.learning_rate * (step + 1) / cell.warmup_steps
    if cell.schedule == "constant":
        return cell.learning_rate
    return cell.learning_rate * (cell.steps - step) / (cell.steps - cell.warmup_steps)
