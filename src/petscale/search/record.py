"""The record of a probe: one seed of one round of a search, with the cell that was trained or the reason for the end.

A search chooses budgets or a learning rate. A note names the choice before its cell is trained, so that the status of a
search can name the cell if it fails.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from petscale.artefacts.files import write_atomically
from petscale.artefacts.records import read_record, write_record
from petscale.search.rates import Edge, Try

Ending = Literal["known", "cap", "not learnt", "diverged"]


class Probe(BaseModel):
    """What one seed of one round did."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    search: str = Field(description="path of the search below results/searches")
    round: int = Field(ge=1)
    seed: int
    ended: Ending | None = Field(None, description="why the search has ended before this probe; null if it trained")
    budget: int | None = Field(None, description="scalars that its cell trains, if the search chooses budgets")
    learning_rate: float | None = Field(None, description="rate of its cell, if the search chooses rates")
    cell: str | None = Field(None, description="path of its cell below results/cells")
    score: float | None = Field(None, description="points in the reading of the search; null for a diverged cell")
    tried: tuple[Try, ...] | None = Field(None, description="rates that the chosen one was the best of, on dev")
    edge: Edge | None = Field(None, description="whether the chosen rate is the lowest or the highest that was tried")

    @property
    def choice(self) -> float | None:
        """The budget or the rate of its cell."""
        return self.budget if self.learning_rate is None else self.learning_rate


def write_probe(path: Path, probe: Probe) -> None:
    """Write a record as canonical JSON, atomically."""
    write_record(path, probe)


def read_probe(path: Path) -> Probe:
    """Read and validate a record.

    Raises:
        BadInput: as `petscale.artefacts.records.read_record`.
    """
    return read_record(path, Probe, "record of a probe")


def write_note(path: Path, seed: int, choice: float) -> None:
    """Note which cell a probe is about to train: its seed, and its budget or rate."""
    write_atomically(path, json.dumps({"seed": seed, "choice": choice}) + "\n")


def read_note(path: Path) -> tuple[int, float] | None:
    """Seed, and budget or rate, of the cell that a probe began; None if it began none."""
    try:
        note: dict[str, Any] = json.loads(path.read_bytes())
        return int(note["seed"]), float(note["choice"] if "choice" in note else note["budget"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
