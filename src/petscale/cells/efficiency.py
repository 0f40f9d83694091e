"""The record of a measurement: speed, memory, work, energy and storage of one method, measured alone on its device.

It is written last and renamed into place, so a record that exists is complete. Speeds are tokens per second without
padding, times are seconds, memory is bytes, work is FLOP and energy is joules.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from petscale.artefacts.records import read_record, write_record


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Speed(_Strict):
    """Tokens per second of the measured steps, without padding: median and quartiles over steps."""

    median: float
    low: float = Field(description="first quartile")
    high: float = Field(description="third quartile")
    steps: int = Field(description="measured steps of training, or batches of inference")
    tokens: int = Field(description="tokens of all these steps, without padding")
    seconds: float = Field(description="time of all these steps")
    cpu_s: float = Field(description="CPU time of the process in these steps; less than `seconds` if it had to wait")
    energy_j: float | None = Field(description="joules of the device in these steps; None if it was not measured")


class Merged(_Strict):
    """Inference after the delta was merged into the weights of the backbone."""

    speed: Speed
    difference: float = Field(description="largest difference of a logit to that before the merge, on one batch")


class Work(_Strict):
    """FLOP of one training step."""

    counted: int = Field(description="matrix products, counted while the step ran; padding included")
    formula: float = Field(description="by the formula of the cost model for the step's tokens")
    tokens: int = Field(description="tokens of the step, without padding")


class Sizes(_Strict):
    """Numbers of parameters, and the size of the delta."""

    trainable: int = Field(description="scalars the optimizer holds for the delta (head apart)")
    deployed: int = Field(description="scalars that inference needs beside the backbone, after merges")
    total: int = Field(description="scalars of the backbone")
    stored_bytes: int = Field(description="size of delta.safetensors, head and plan included")


class EfficiencyRecord(_Strict):
    """Everything that is kept of one measurement."""

    version: Literal[1] = 1
    measurement: str = Field(description="its path below results/measurements")
    digest: str
    spec: dict[str, Any] = Field(description="the specification that the digest covers")
    device: str = Field(description="name of the device, as it names itself")
    training: Speed
    inference: Speed
    merged: Merged | None = Field(description="None where the method cannot be merged exactly")
    not_merged: str | None = Field(description="why the method cannot be merged exactly")
    peak_memory: int = Field(description="bytes while training, by `memory_by`")
    memory_by: Literal["device allocations", "resident set above that before the model"]
    work: Work
    sizes: Sizes
    began: float = Field(description="epoch seconds")
    ended: float = Field(description="epoch seconds")
    hashes: dict[str, str] = Field(description="data, tokens, backbone, code")
    provenance: dict[str, Any]


def write_efficiency(path: Path, record: EfficiencyRecord) -> None:
    """Write a record as canonical JSON, atomically."""
    write_record(path, record)


def read_efficiency(path: Path) -> EfficiencyRecord:
    """Read and validate a record.

    Raises:
        BadInput: as `petscale.artefacts.records.read_record`.
    """
    return read_record(path, EfficiencyRecord, "record of a measurement")
