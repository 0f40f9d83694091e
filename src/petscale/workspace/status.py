"""The status of the cells of a study, read from their files without asking a scheduler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from petscale.artefacts.layout import RESULTS, Layout
from petscale.artefacts.names import slug
from petscale.artefacts.seal import unsealed
from petscale.cells.phase import CellPhase, cell_outcome
from petscale.errors import BadInput
from petscale.study.grid import Grid, PlannedCell
from petscale.study.stages import cell_code
from petscale.workspace.commands import snakemake
from petscale.workspace.inputs import LocalInputs, backbone_folder
from petscale.workspace.last_words import last_words
from petscale.workspace.measurements import measurement_status
from petscale.workspace.searches import with_found

OTHER_CODE = "other code than this made it"


@dataclass(frozen=True)
class CellStatus:
    """The status of one cell: its phase and cause, and its progress while it runs."""

    cell: str
    phase: CellPhase
    cause: str | None
    attempts: int
    step: int | None
    steps: int | None
    loss: float | None
    dev: float | None
    left_s: float | None
    stale: bool  # whether other code than the package's, or other rows or weights than those of now, made it
    stale_cause: str | None  # what changed since, in one line
    rerun: str  # the full command that reruns it

    @property
    def has_other_inputs(self) -> bool:
        """Whether it was trained on rows or weights that are no longer there."""
        return self.stale and self.stale_cause != OTHER_CODE


@dataclass(frozen=True)
class InputFailure:
    """Rows, tokens or a backbone that could not be made: the manifest, the cause in one line, and how to make it."""

    manifest: str
    cause: str
    rerun: str


def study_status(grid: Grid, root: Path, options: str, *, read_again: bool = False) -> list[CellStatus]:
    """The status of every cell of a study, in the order of the plan.

    Args:
        grid: the study's grid.
        root: the working directory, which contains `results/`.
        options: options that follow the target in the rerun command, e.g. `--cores 2 --configfile x.yaml`.
        read_again: whether to read local rows and backbones once more, though their sizes and times are as before.
    """
    layout = Layout(str(root / RESULTS))
    inputs = LocalInputs(grid.study, layout, read_again=read_again)
    failures = {failure.manifest: failure for failure in input_failures(grid, root, options)}
    return [_status(planned, layout, inputs, failures, options) for planned in grid.cells.values()]


def _status(
    planned: PlannedCell, layout: Layout, inputs: LocalInputs, failures: dict[str, InputFailure], options: str
) -> CellStatus:
    path = planned.cell.path
    outcome = cell_outcome(layout, path)
    cause, changed = outcome.cause, None
    if outcome.record is not None:
        changed = inputs.change_since(planned, outcome.record)
        if changed is None and outcome.record.hashes.get("code") != _code_of(planned):
            changed = OTHER_CODE
    elif outcome.phase == "pending" and cause is None:
        failed = next((failures[manifest] for manifest in _needs(planned) if manifest in failures), None)
        cause = None if failed is None else f"{failed.manifest} could not be made: {failed.cause}"
    # Progress is shown only while the cell runs.
    progress = outcome.status if outcome.phase == "running" else {}
    return CellStatus(
        cell=path,
        phase=outcome.phase,
        cause=cause,
        attempts=len(outcome.status.get("attempts", ())),
        step=progress.get("step"),
        steps=progress.get("steps"),
        loss=progress.get("loss"),
        dev=progress.get("dev"),
        left_s=progress.get("left_s"),
        stale=changed is not None,
        stale_cause=changed,
        rerun=snakemake(Layout().result(path), options),
    )


def _code_of(planned: PlannedCell) -> str:
    return cell_code(planned.cell.method, planned.backbone.shape.family)


def _inputs(planned: PlannedCell) -> Iterator[tuple[str, str, str]]:
    """Rule, name of its log and manifest of each input of a cell, in the order in which they are made."""
    layout, data = Layout(), planned.cell.data.path
    folder, tokenizer = backbone_folder(planned.backbone), slug(planned.backbone.tokenizer)
    yield "prepare", data, layout.data(data)
    yield "backbone", folder, layout.backbone(folder)
    yield "tokenize", f"{tokenizer}/{planned.cell.tokens}", layout.tokens(tokenizer, planned.cell.tokens)


def _needs(planned: PlannedCell) -> list[str]:
    return [manifest for _, _, manifest in _inputs(planned)]


def input_failures(grid: Grid, root: Path, options: str) -> list[InputFailure]:
    """Inputs of cells whose rule failed: the manifest is missing, and the rule's log has last words.

    Arguments are those of `study_status`. Paths are relative to `root`.
    """
    cells = [*grid.cells.values(), *(planned.cell for planned in grid.measurements.values())]
    asked = {manifest: (rule, name) for planned in cells for rule, name, manifest in _inputs(planned)}
    layout, failures = Layout(), []
    for manifest, (rule, name) in asked.items():
        if (root / manifest).exists():
            continue
        cause = last_words(root / layout.log(rule, name))
        if cause is not None:
            failures.append(InputFailure(manifest, cause, snakemake(manifest, options)))
    return failures


@dataclass(frozen=True)
class ToldOfRows:
    """What preparing rows told of them: the manifest, the split, what was found, and in how many rows."""

    manifest: str
    split: str
    what: str
    count: int


def told_of_rows(grid: Grid, root: Path) -> list[ToldOfRows]:
    """What was told of the prepared rows of a study, e.g. a train split of one class; readers of scores need it.

    Rows that are not prepared yet, and manifests that cannot be read, tell nothing: their cells say why they failed.
    """
    manifests = dict.fromkeys(
        (planned.cell.data.path, manifest)
        for planned in grid.cells.values()
        for rule, _, manifest in _inputs(planned)
        if rule != "backbone"
    )
    found: dict[tuple[str, str, str], ToldOfRows] = {}
    for data, manifest in manifests:
        for split, counts in _told(root / manifest).items():
            for what, count in counts.items():  # the tokens' manifest repeats what the rows' one tells
                found.setdefault((data, split, what), ToldOfRows(manifest, split, what, count))
    return list(found.values())


def _told(manifest: Path) -> dict[str, dict[str, int]]:
    try:
        told: dict[str, dict[str, int]] = unsealed(json.loads(manifest.read_bytes()), manifest).get("told", {})
    except (OSError, ValueError, BadInput):
        return {}
    return told


def failure_lines(grid: Grid, options: str, most: int = 20) -> list[str]:
    """What a run of a study could not make, one line each, at most `most` of them; for the end of that run."""
    grid = with_found(grid, Layout())
    inputs = input_failures(grid, Path(), options)
    cells = [cell for cell in study_status(grid, Path(), options) if cell.phase in ("failed", "interrupted")]
    lines = [f"{failure.manifest}: {failure.cause}" for failure in inputs]
    lines += [f"{cell.cell}: {cell.phase}: {cell.cause}" for cell in cells]
    lines += [
        f"measurement {each.measurement}: {each.cause}"
        for each in measurement_status(grid, Path(), options)
        if each.phase == "failed"
    ]
    more = [f"{len(lines) - most} more; `petscale status` lists all"] if len(lines) > most else []
    return lines[:most] + more
