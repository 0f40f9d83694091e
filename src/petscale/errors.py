"""Errors that a user can act on, and the exit codes that distinguish their causes.

The command line prints the message of a `PetscaleError` as one line and exits with its code. Any other exception is a
bug, and its traceback is kept (for a cell, in the log of the attempt).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum
from signal import SIGHUP, SIGINT, SIGTERM
from typing import ClassVar


class Exit(IntEnum):
    """Exit codes of every `petscale` command."""

    DONE = 0  # diverged cells included: divergence is a recorded outcome
    BUG = 1
    BAD_INPUT = 2
    DUPLICATE = 75  # another trainer holds this cell
    INTERRUPTED = 85  # state is saved; the same command continues
    OUT_OF_MEMORY = 86


class PetscaleError(Exception):
    """An error with a message of one line for the user: the place (file and key), then what is wrong."""

    exit_code: ClassVar[Exit] = Exit.BUG


class BadInput(PetscaleError):
    """An input of the user cannot be used; this is raised before anything is computed."""

    exit_code = Exit.BAD_INPUT


class OutOfMemory(PetscaleError):
    """A device or the host has too little memory for what was asked."""

    exit_code = Exit.OUT_OF_MEMORY


class DuplicateTrainer(PetscaleError):
    """The cell's lock is held by a live trainer."""

    exit_code = Exit.DUPLICATE


class Interrupted(PetscaleError):
    """SIGTERM, Ctrl-C or a deadline stopped the cell after a checkpoint."""

    exit_code = Exit.INTERRUPTED


STOPPING = (SIGTERM, SIGINT, SIGHUP)
"""Signals that ask a process to stop: of a scheduler, of Ctrl-C, and of a terminal that is closed."""

NOTE = "petscale: note: "
"""The beginning of a line that tells something and is no reason for a failure."""

STOPPED_BY_HAND = "stopped by Ctrl-C before anything was saved; the same command starts again"
"""What a command says that Ctrl-C ended at once; a cell that has begun saves its state and says something else."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the closest known one, or nothing if none is close."""
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
