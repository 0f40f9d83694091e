"""The plan of a cell, which says exactly what the cell trains. Only this module connects cells with plans."""

from __future__ import annotations

from petscale import tasks as task_registry
from petscale.families.registry import family_of
from petscale.families.shape import BackboneShape
from petscale.study.cell import Cell
from petscale.tuning.plan import Plan
from petscale.tuning.registry import budget_range, make_plan


def plan_of(cell: Cell, shape: BackboneShape, *, masks: bool = False) -> Plan:
    """The plan of a cell on its backbone.

    Args:
        cell: the cell.
        shape: its backbone's shape.
        masks: whether to use the cell's mask seed. Counts do not depend on it; without it thousands of cells share a
            few hundred plans.

    Raises:
        BadInput: the backbone cannot hold the budget, or the method lacks an option.
    """
    # A plan depends on the target's length only in whether it is one token, since the decoder's self-attention then has
    # a single key.
    single = task_registry.lookup(cell.task).target_length == 1
    return make_plan(
        shape,
        cell.method,
        budget=cell.budget,
        mask_seed=(cell.mask_seed or 0) if masks else 0,
        options=cell.options,
        target_length=1 if single else None,
    )


def budgets_of(cell: Cell, shape: BackboneShape) -> tuple[int, int]:
    """The smallest and the largest budget that a cell's method can train on its backbone."""
    single = task_registry.lookup(cell.task).target_length == 1
    return budget_range(shape, cell.method, options=cell.options, target_length=1 if single else None)


def head_parameters(cell: Cell, shape: BackboneShape) -> int:
    """Number of trainable scalars of the classification head; 0 if it is not trained."""
    if cell.head != "trained":
        return 0
    family = family_of(shape)
    return family.head_parameters(shape, family.head_units(task_registry.lookup(cell.task), cell.labels))
