"""Errors that a user can act on, and the exit codes by which causes are told apart.

The command line prints the message of a `PetscaleError` as one line and exits with its code; anything else that
escapes is a bug and keeps its traceback (in the cell's attempt log).
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class Exit(IntEnum):
    """Exit codes of every `petscale` command."""

    DONE = 0  # diverged cells included: divergence is a recorded outcome
    BUG = 1
    BAD_INPUT = 2
    DUPLICATE = 75  # another trainer holds this cell
    INTERRUPTED = 85  # state is saved, the same command goes on
    OUT_OF_MEMORY = 86


class PetscaleError(Exception):
    """One line for the user: the place (file and key), then what is wrong."""

    exit_code: ClassVar[Exit] = Exit.BUG


class BadInput(PetscaleError):
    """Something the user gave cannot be used; said before any compute is spent."""

    exit_code = Exit.BAD_INPUT


class DuplicateTrainer(PetscaleError):
    """The cell's lock is held by a live trainer."""

    exit_code = Exit.DUPLICATE


class Interrupted(PetscaleError):
    """SIGTERM or a deadline stopped the cell after a checkpoint."""

    exit_code = Exit.INTERRUPTED
