"""A measurement: how fast one method trains and answers, and what memory and energy it takes, with its identity.

The identity covers what the numbers depend on: the cell whose steps are measured, how many steps, the versions of the
code, and the name of the device (`hardware.name` of the study).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from petscale.artefacts.canonical import digest
from petscale.artefacts.growth import incoming, outgoing
from petscale.artefacts.names import slug
from petscale.study.cell import Cell
from petscale.study.stages import code_digest, version
from petscale.tuning.registry import lookup


@dataclass(frozen=True)
class Measurement:
    """One repeat of one method on one backbone and task.

    Attributes:
        cell: the cell whose training steps and scoring are measured. Its steps are all steps that are taken, and its
            seed is the number of the repeat.
        warmup_steps: steps, and batches of inference, that come before the measured ones.
        steps: measured steps, and measured batches of inference.
        micro_batch: most examples that the device processes at once; None for the whole batch.
        device: name of the device.
        versions: of the measured code, as `code_versions` gives them.
    """

    cell: Cell
    warmup_steps: int
    steps: int
    micro_batch: int | None
    device: str
    versions: str

    def spec(self) -> dict[str, Any]:
        """The measurement as plain data, for rules, records and digests."""
        return {**outgoing(self), "cell": self.cell.spec()}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Measurement:
        """The inverse of `spec`.

        Raises:
            BadInput: a field is missing or unknown.
        """
        return incoming(cls, {**spec, "cell": Cell.from_spec(spec.get("cell") or {})}, "measurement")

    @cached_property
    def digest(self) -> str:
        """Digest of the specification, which is part of the path of the measurement."""
        return digest(self.spec())

    @cached_property
    def path(self) -> str:
        """Path below results/measurements: `<backbone>/<task>/<method>/seed<k>-<digest>`."""
        cell = self.cell
        return f"{slug(cell.backbone)}/{cell.task}/{cell.method}/seed{cell.seed}-{self.digest}"


def steps_in_all(warmup_steps: int, steps: int) -> int:
    """Training steps of a measurement: after the measured ones there is one whose operations are counted."""
    return warmup_steps + steps + 1


def code_versions(method: str, family: str) -> str:
    """Versions of the code that a measurement runs: of its stage, of training, of the method and of the family."""
    return f"measure {version('measure')}, train {version('train', family)}, {method} {lookup(method).version}"


def measured_code(method: str, family: str) -> str:
    """Digest of the code that a measurement runs, for the record and for `petscale status`."""
    return code_digest(("stages", "measure"), ("stages", "train"), ("methods", method), ("families", family))
