"""A cell: one training run, with its identity and its path.

The identity covers only what determines the numbers. Names for figures, resources and the experiments that need a cell
are not part of it, so studies can share cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from petscale.artefacts.canonical import digest
from petscale.artefacts.growth import incoming, later, outgoing
from petscale.artefacts.names import slug
from petscale.tasks import LabelScheme


@dataclass(frozen=True)
class DataSpec:
    """The rows of a task: source, identity of the rows, and how they are split."""

    task: str
    version: int
    source: str  # hub | local | mini
    rows: str  # revision, name of the local rows, or version of the mini language
    dev_size: int
    max_train: int | None
    max_test: int | None
    few_shot: int | None
    split_seed: int
    flaws: str = later("refuse")  # refuse | drop

    def spec(self) -> dict[str, Any]:
        """The specification as plain data, without later fields at their default, so older identities do not change."""
        return outgoing(self)

    @cached_property
    def path(self) -> str:
        """Path below results/data, which is readable and contains a digest of the specification."""
        return f"{self.task}-{digest(self.spec(), 8)}"


@dataclass(frozen=True)
class Cell:
    """One training run with all its settings. `digest` covers every field."""

    backbone: str
    weights: str  # revision of the hub, version of the mini ladder, or "folder"
    data: DataSpec
    labels: LabelScheme
    method: str
    options: dict[str, Any]
    budget: int | None  # exact number of trained scalars, for methods that take a budget
    mask_seed: int | None
    seed: int
    head: str | None  # trained | frozen; None if the family has no head
    precision: str
    steps: int
    evaluate_every: int
    batch_size: int
    learning_rate: float
    schedule: str
    warmup_steps: int
    weight_decay: float
    clip_norm: float
    dropout: float
    gradient_checkpointing: bool
    masters: str = later("float32")  # float32 | bfloat16; precision of trained values, their start and their moments

    @property
    def task(self) -> str:
        """The name of the task whose rows the cell is trained on."""
        return self.data.task

    def spec(self) -> dict[str, Any]:
        """The specification as plain data, for rules, records and digests."""
        return {**outgoing(self), "data": self.data.spec()}

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Cell:
        """The inverse of `spec`.

        Raises:
            BadInput: a field is missing or unknown.
        """
        return incoming(cls, {**spec, "data": incoming(DataSpec, spec.get("data"), "cell: data")}, "cell")

    @cached_property
    def digest(self) -> str:
        """Digest of the specification, which is the identity of the cell and part of its path."""
        return digest(self.spec())

    @cached_property
    def path(self) -> str:
        """Path below results/cells: `<backbone>/<task>/<method>[-<budget>]/seed<k>-<digest>`."""
        method = self.method if self.budget is None else f"{self.method}-{self.budget}"
        return f"{slug(self.backbone)}/{self.task}/{method}/seed{self.seed}-{self.digest}"

    @cached_property
    def tokens(self) -> str:
        """Path below the folder of a tokenizer in results/tokens."""
        return f"{self.data.path}-{self.labels}"
