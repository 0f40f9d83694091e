"""Reads the files of one cell: phase, attempt, points, parameters, tags, artifacts. It writes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from petscale.artefacts.layout import RECORD
from petscale.cells.published import METRICS, PATTERNS, SPOOLS
from petscale.cells.record import CellResult, check_files
from petscale.errors import BadInput
from petscale.study.grid import PlannedCell
from petscale.tracking.glance import Glance
from petscale.tracking.points import Point, read_points

CELLS = "petscale cells"  # the MLflow experiment that holds a run for each cell


@dataclass(frozen=True)
class Subject:
    """The cell or study that a run describes: the value of one identifying tag, in one MLflow experiment."""

    experiment: str  # MLflow's word for a table of runs
    tag: str
    value: str


@dataclass(frozen=True)
class Trace:
    """All that the store should hold about one subject."""

    subject: Subject
    name: str
    attempt: str
    phase: str  # done | diverged | failed | interrupted | running
    started_ms: int
    ended_ms: int | None
    points: set[Point] = field(default_factory=set)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)  # artifact path -> file
    root: str = ""  # ledger.root_id of the folder of results from which it was read

    @property
    def marks(self) -> dict[str, str]:
        """The tags that identify its run, in addition to the subject's tag."""
        return {"attempt": self.attempt, "root": self.root}

    def is_frozen(self, path: str) -> bool:
        """Whether a file is only replaced by renaming, so that a hard link to it keeps the old content."""
        return self.phase in ("done", "diverged") and any(fnmatch(path, name) for name in (RECORD, *PATTERNS))


def read_trace(planned: PlannedCell, study: str, seen: Glance, root: str) -> Trace:
    """Everything that the store should hold about a cell.

    Args:
        planned: the cell as the study plans it.
        study: name of the study; it becomes the tag `study.<name>`.
        seen: a recent glance at the cell.
        root: `ledger.root_id` of its folder of results.

    Raises:
        BadInput: a spool or a published file is damaged; the message names file and key.
    """
    result = seen.record
    if result is not None:
        # Damaged files must not replace the good ones in the store. Older records have no digests to compare.
        check_files(seen.folder, result)
        if not (seen.folder / METRICS).exists():
            raise BadInput(f"{seen.folder / METRICS}: missing, though its cell has a result; run the cell again")
    points: set[Point] = set()
    for name in SPOOLS:
        points |= read_points(seen.folder / name)
    params = _flat(planned.cell.spec())
    tags = _planned_tags(planned, study) | {"status": seen.phase, "attempts": str(seen.attempts)}
    last = max((point.ts for point in points), default=seen.started_ms)
    if result is not None:
        points |= _final_points(result, last)
        params |= _flat({"count": result.counts.model_dump(), "metric": result.metric})
        tags |= {"host": str(result.provenance.get("host")), "metric": result.metric}
        tags |= {f"hash.{name}": value for name, value in result.hashes.items()}
        if result.notes:
            tags["notes"] = "; ".join(result.notes)
    if seen.cause:
        tags["cause"] = seen.cause
    return Trace(
        subject=subject(planned.cell.path),
        name=_run_name(planned),
        attempt=seen.attempt,
        phase=seen.phase,
        started_ms=seen.started_ms or last,
        ended_ms=None if seen.phase == "running" else max(last, seen.ended_ms or 0),
        points=points,
        params=params,
        tags=tags,
        files=seen.files,
        root=root,
    )


def subject(cell: str) -> Subject:
    """The MLflow experiment and tag by which the runs of a cell are found."""
    return Subject(CELLS, "cell", cell)


def planned_tags(planned: PlannedCell, study: str) -> dict[str, str]:
    """The tags by which a study claims a cell.

    They are `study.<name>`, `experiment.<name>.<experiment>`, and `variant.<name>` with the study's own name for what
    the cell runs, where it has one.
    """
    claimed = {f"experiment.{study}.{name}": "1" for name in planned.experiments}
    named = {f"variant.{study}": planned.variant} if planned.variant else {}
    return {f"study.{study}": "1", **claimed, **named}


def _planned_tags(planned: PlannedCell, study: str) -> dict[str, str]:
    cell, backbone = planned.cell, planned.backbone
    known = {
        "backbone": cell.backbone,
        "ladder": backbone.ladder,
        "scale": backbone.scale,
        "method": cell.method,
        "structure": planned.mask_structure or "dense",
        "budget": cell.budget,
        "match": ",".join(planned.matches) or None,
        "task": cell.task,
        "kind": planned.kind,
        "seed": cell.seed,
        "mask_seed": cell.mask_seed,
        "labels": cell.labels,
        "head": cell.head,
        "precision": cell.precision,
        "control": backbone.control_of,
        "search": planned.search,
        "digest": cell.digest,
    }
    return {name: str(value) for name, value in known.items() if value is not None} | planned_tags(planned, study)


def _run_name(planned: PlannedCell) -> str:
    cell = planned.cell
    method = cell.method if cell.budget is None else f"{cell.method}-{cell.budget}"
    return f"{cell.backbone} {cell.task} {method} seed{cell.seed}"


def _final_points(result: CellResult, ts: int) -> set[Point]:
    """The record's numbers as metrics, so that the UI can sort and plot by them; undefined ones are left out."""
    test, dev, step = result.test.get(result.metric), result.dev.get(result.metric), result.convergence.steps
    numbers: dict[str, float | None] = {
        "result/test": test.value if test else None,
        "result/test_se": test.se if test else None,
        "result/dev": dev.value if dev else None,
        "result/best_step": result.convergence.best_step,
        "result/trainable": result.counts.trainable,
        "result/backbone_parameters": result.counts.total,
        "result/peak_memory_bytes": result.peak_memory,
        "result/energy_j": result.energy_j,
        **{f"result/{name}": value for name, value in result.throughput.model_dump().items()},
    }
    return {Point.of(key, ts, step, value) for key, value in numbers.items() if value is not None}


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested data as MLflow parameters, such as `data.task` and `count.trainable`; absent values are left out."""
    found: dict[str, str] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            found[f"{prefix}{name}"] = value if isinstance(value, str) else json.dumps(value)
    return found
