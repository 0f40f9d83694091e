"""The record of a probe: one seed of one round of a search, with the cell that was trained or the reason for the end.

A note names the cell before it is trained, so that the status of a search can name it if the cell fails.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from petscale.artefacts.files import write_atomically
from petscale.artefacts.records import read_record, write_record

Ending = Literal["known", "cap", "not learnt"]


class Probe(BaseModel):
    """What one seed of one round did."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    search: str = Field(description="path of the search below results/searches")
    round: int = Field(ge=1)
    seed: int
    ended: Ending | None = Field(None, description="why the search has ended before this probe; null if it trained")
    budget: int | None = Field(None, description="scalars that its cell trains")
    cell: str | None = Field(None, description="path of its cell below results/cells")
    score: float | None = Field(None, description="points in the reading of the search; null for a diverged cell")


def write_probe(path: Path, probe: Probe) -> None:
    """Write a record as canonical JSON, atomically."""
    write_record(path, probe)


def read_probe(path: Path) -> Probe:
    """Read and validate a record.

    Raises:
        BadInput: as `petscale.artefacts.records.read_record`.
    """
    return read_record(path, Probe, "record of a probe")


def write_note(path: Path, seed: int, budget: int) -> None:
    """Note which cell a probe is about to train."""
    write_atomically(path, json.dumps({"seed": seed, "budget": budget}) + "\n")


def read_note(path: Path) -> tuple[int, int] | None:
    """Seed and budget of the cell that a probe began; None if it began none."""
    try:
        note: dict[str, Any] = json.loads(path.read_bytes())
        return int(note["seed"]), int(note["budget"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
