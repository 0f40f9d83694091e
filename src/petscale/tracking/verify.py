"""Compare what cells left with what the store holds, key by key."""

from __future__ import annotations

from petscale.study.grid import PlannedCell
from petscale.tracking.glance import glance
from petscale.tracking.points import differences
from petscale.tracking.send import STATUS
from petscale.tracking.store import LONGEST_PARAM, LONGEST_TAG, Store
from petscale.tracking.trace import read_trace


def verify_cell(store: Store, planned: PlannedCell, study: str, root: str) -> list[str] | None:
    """What differs, one line each; an empty list where files and store agree, None where the cell has not begun.

    Raises:
        StoreUnavailable: the store cannot be read.
        BadInput: a file of the cell is damaged.
    """
    seen = glance(planned.cell.path, root)
    if seen is None:
        return None
    trace = read_trace(planned, study, seen)
    runs = store.runs(trace.subject)
    if len(runs) != 1:
        return [f"{len(runs)} active runs in the store in place of one"]
    run = runs[0]
    wrong = [str(difference) for difference in differences(trace.points, store.points(run.info.run_id))]
    for kind, expected, found, longest in (
        ("parameter", trace.params, run.data.params, LONGEST_PARAM),
        ("tag", {**trace.tags, "attempt": trace.attempt}, run.data.tags, LONGEST_TAG),
    ):
        wrong += [
            f"{kind} {name}: {value[:60]!r} in the files, {found.get(name, 'nothing')[:60]!r} in the store"
            for name, value in sorted(expected.items())
            if found.get(name) != value[:longest]
        ]
    if trace.phase != "running":
        stored = store.artifacts(run.info.run_id)
        wrong += [
            f"artifact {path}: {file.stat().st_size} bytes in the files, {stored.get(path, 'nothing')} in the store"
            for path, file in sorted(trace.files.items())
            if stored.get(path) != file.stat().st_size
        ]
        if run.info.status != STATUS[trace.phase]:
            wrong.append(f"status: {STATUS[trace.phase]} by the files, {run.info.status} in the store")
    return wrong
