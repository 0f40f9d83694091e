"""The result record of a cell, `result.json`: the typed, versioned file that analysis, tracking and status read.

It is written last and renamed into place, so an existing `result.json` is complete. Scores are fractions in [0, 1]
(also ROUGE and F1); losses are nats per token; times are seconds; memory is bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from petscale.artefacts.files import file_digest
from petscale.artefacts.records import read_record, write_record
from petscale.errors import BadInput

RECORD_VERSION = 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Score(_Strict):
    """A mean over examples with its standard error; `value` is None if the metric is undefined."""

    value: float | None
    se: float | None
    n: int


class Counts(_Strict):
    """Parameter counts of a cell (docs/mechanism.md explains them). Records of before lack the last three."""

    trainable: int = Field(description="scalars the optimizer holds for the delta (head apart)")
    effective: int = Field(description="of these, entries with a structurally non-zero derivative")
    head: int = Field(description="trainable scalars of the classification head")
    stored: int = Field(description="scalars in delta.safetensors, head included")
    changed: int = Field(description="scalars that differ from their start at the end of training")
    total: int = Field(description="scalars of the frozen backbone")
    deployed: int | None = Field(default=None, description="scalars that inference needs beside the backbone")
    touched: int | None = Field(default=None, description="scalars of the backbone that merging may change")
    rank: int | None = Field(
        default=None, description="highest rank of the change of one matrix; None if no matrix changes"
    )


class Throughput(_Strict):
    """Real (unpadded) tokens per second, and the seconds of each part of a run."""

    train_tokens_per_s: float
    inference_tokens_per_s: float
    startup_s: float
    train_s: float
    evaluate_s: float
    wall_s: float


class Convergence(_Strict):
    """Selection on dev: the step and value of the best score."""

    best_step: int
    best_dev: float
    steps: int


class CellResult(_Strict):
    """Everything the study keeps about a finished cell."""

    version: Literal[1] = 1
    cell: str = Field(description="the cell's path below results/cells")
    digest: str
    status: Literal["done", "diverged"]
    cause: str | None = Field(default=None, description="one line, when the status is not `done`")
    notes: list[str] = Field(default=[], description="what a reader must know, e.g. constant predictions")
    spec: dict[str, Any] = Field(description="the resolved specification that the digest covers")
    counts: Counts
    metric: str = Field(description="the key in dev/test that selection and figures use")
    dev: dict[str, Score]
    test: dict[str, Score]
    convergence: Convergence
    throughput: Throughput
    peak_memory: int = Field(description="bytes; device memory on GPU, resident set on CPU")
    energy_j: float | None = Field(default=None, description="None where no GPU was sampled, never 0")
    hashes: dict[str, str] = Field(description="data, tokens, backbone, code, delta; identity covers all but the code")
    files: dict[str, str] = Field(default={}, description="SHA-256 of each file published beside the record")
    provenance: dict[str, Any]


def write_result(path: Path, result: CellResult) -> None:
    """Write a record as canonical JSON, atomically."""
    write_record(path, result)


def read_result(path: Path) -> CellResult:
    """Read and validate a record.

    Raises:
        BadInput: as `petscale.artefacts.records.read_record`.
    """
    return read_record(path, CellResult, "result record")


def check_files(folder: Path, record: CellResult, *, weights: bool = True) -> None:
    """Check that the files beside a record are those that were published with it; old records have no digests.

    Args:
        folder: folder of the cell.
        record: record of the cell.
        weights: whether to check the delta too, which may be as large as the backbone.

    Raises:
        BadInput: a file is missing or was changed; the message names it.
    """
    for name, digest in record.files.items():
        if name.endswith(".safetensors") and not weights:
            continue
        try:
            found = file_digest(folder / name)
        except OSError as error:
            raise BadInput(
                f"{folder / name}: {error.strerror}, but the cell's record names it; run the cell again"
            ) from None
        if found != digest:
            raise BadInput(f"{folder / name}: changed since its cell was published (sha256); run the cell again")
