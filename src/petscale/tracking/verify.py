"""Compares the files of cells and studies with the store: metrics key by key, and artifacts by their content."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass, field

from petscale.artefacts.files import file_digest
from petscale.errors import BadInput
from petscale.study.grid import Grid, PlannedCell
from petscale.tracking.glance import glance
from petscale.tracking.ledger import root_id
from petscale.tracking.points import differences
from petscale.tracking.send import STATUS, own_runs
from petscale.tracking.store import LONGEST_PARAM, LONGEST_TAG, Store
from petscale.tracking.study_run import read_study
from petscale.tracking.trace import Trace, read_trace


@dataclass
class Verdict:
    """The result of comparing files and store."""

    equal: int = 0  # number of cells without a difference
    different: dict[str, list[str]] = field(default_factory=dict)  # cell -> what differs, one line each
    damaged: dict[str, str] = field(default_factory=dict)  # cell -> the damage of its files; its run is not compared
    study: list[str] = field(default_factory=list)  # what differs in the run of the study

    @property
    def fine(self) -> bool:
        """Whether files and store agree in everything that was compared."""
        return not (self.different or self.damaged or self.study)

    def line(self) -> str:
        """The verdict in one line."""
        told = [f"{self.equal} cells agree with the store, {len(self.different)} differ"]
        told += ["the study's run differs"] * bool(self.study)
        told += ["`petscale track` repairs"] * bool(self.different or self.study)
        told += [f"{len(self.damaged)} damaged, whose runs are left alone"] * bool(self.damaged)
        return "; ".join(told)


def verify(store: Store, grid: Grid, cells: Collection[str], root: str) -> Verdict:
    """Compare the cells that have begun, and the study's run if all cells of the study are given.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    found = Verdict()
    phases: dict[str, str] = {}
    for cell in cells:
        try:
            trace = _trace(grid.cells[cell], grid.study.name, root)
            if trace is None:
                continue
            wrong = compare(store, trace)
        except BadInput as error:
            found.damaged[cell] = str(error)
            continue
        except FileNotFoundError:
            continue  # the cell was published or started again meanwhile
        phases[cell] = trace.phase
        if wrong:
            found.different[cell] = wrong
        else:
            found.equal += 1
    if set(cells) == set(grid.cells):
        with contextlib.suppress(FileNotFoundError):  # its report is being written again
            whole = read_study(grid.study, root, phases, root_id(root, make=False))
            found.study = [] if whole is None else compare(store, whole)
    return found


def verify_cell(store: Store, planned: PlannedCell, study: str, root: str) -> list[str] | None:
    """The differences of one cell; an empty list if files and store agree, None if the cell has not begun.

    Raises:
        StoreUnavailable: the store cannot be read.
        BadInput: a file of the cell is damaged.
    """
    trace = _trace(planned, study, root)
    return None if trace is None else compare(store, trace)


def _trace(planned: PlannedCell, study: str, root: str) -> Trace | None:
    seen = glance(planned.cell.path, root)
    return None if seen is None else read_trace(planned, study, seen, root_id(root, make=False))


def compare(store: Store, trace: Trace) -> list[str]:
    """The differences between a trace and the store, one line each; empty if they agree.

    Raises:
        StoreUnavailable: the store cannot be read.
        FileNotFoundError: a file of the trace vanished meanwhile.
    """
    runs = own_runs(store, trace)
    if len(runs) != 1:
        return [f"{len(runs)} active runs in the store in place of one"]
    run = runs[0]
    wrong = [str(difference) for difference in differences(trace.points, store.points(run.info.run_id))]
    for kind, expected, found, longest in (
        ("parameter", trace.params, run.data.params, LONGEST_PARAM),
        ("tag", trace.tags | trace.marks, run.data.tags, LONGEST_TAG),
    ):
        wrong += [
            f"{kind} {name}: {value[:60]!r} in the files, {found.get(name, 'nothing')[:60]!r} in the store"
            for name, value in sorted(expected.items())
            if found.get(name) != value[:longest]
        ]
    if trace.phase != "running":
        stored = store.artifacts(run.info.run_id)
        for path, file in sorted(trace.files.items()):
            size, held = file.stat().st_size, stored.get(path, "nothing")
            if held != size:
                wrong.append(f"artifact {path}: {size} bytes in the files, {held} in the store")
            elif store.sha256(run, path) != file_digest(file):
                wrong.append(f"artifact {path}: another content in the store than in the files, of the same size")
        if run.info.status != STATUS[trace.phase]:
            wrong.append(f"status: {STATUS[trace.phase]} by the files, {run.info.status} in the store")
    return wrong
