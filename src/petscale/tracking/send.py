"""Send one subject to the store: afterwards it has exactly one active run with every point once, which is verified."""

from __future__ import annotations

from typing import Any

from petscale.tracking.points import Point, differences
from petscale.tracking.store import LONGEST_PARAM, Store, StoreRefused
from petscale.tracking.trace import Trace

# The phases of a cell in MLflow's words.
STATUS = {"done": "FINISHED", "diverged": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
CLAIMS = ("study.", "experiment.")


def send(store: Store, trace: Trace, *, known: dict[str, set[Point]] | None = None) -> str:
    """Send a trace and delete the runs that it replaces. Sending it twice changes nothing.

    Args:
        store: the store.
        trace: the content to send.
        known: points that the store has, by run; `--follow` passes them so that only new points are sent.

    Returns:
        The id of the one active run.

    Raises:
        StoreRefused: the numbers that were read back differ from those that were sent.
        StoreUnavailable: the store failed.
    """
    runs = own_runs(store, trace)
    run, held = _reusable(store, trace, runs, known)
    if run is None:
        run, held = store.create(trace.subject, trace.marks, trace.name, trace.started_ms), set()
    run_id: str = run.info.run_id
    # Studies share cells, so the tags of other studies are kept.
    claims = {name: value for old in runs for name, value in old.data.tags.items() if name.startswith(CLAIMS)}
    store.log(run_id, trace.points - held, trace.params, claims | trace.tags | trace.marks)
    for name in _outdated(run, trace):
        store.delete_tag(run_id, name)
    if trace.phase == "running":
        store.resume(run_id)
    else:
        for path, file in trace.files.items():
            store.put(run, path, file, link=trace.is_frozen(path))
        found = store.points(run_id)
        wrong = differences(trace.points, found)
        if wrong:
            raise StoreRefused(f"read back from the store: {wrong[0]}; `petscale track` sends it anew")
        store.end(run_id, STATUS[trace.phase], trace.ended_ms)
    # Old runs are deleted last, so that a crash before leaves two runs rather than none. All other runs are deleted,
    # even those of this attempt: a retried request may have created its run twice.
    for old in own_runs(store, trace):
        if old.info.run_id != run_id:
            store.delete(old.info.run_id)
    if known is not None:
        known[run_id] = held | trace.points
    return run_id


def own_runs(store: Store, trace: Trace) -> list[Any]:
    """The active runs of a trace's subject that came from the same folder of results; there should be one.

    A run without the tag `root`, from before it existed, is included if it is of this attempt or the store is a file.
    """
    return [
        run
        for run in store.runs(trace.subject)
        if run.data.tags.get("root") == trace.root
        or ("root" not in run.data.tags and (store.is_file or run.data.tags.get("attempt") == trace.attempt))
    ]


def _reusable(
    store: Store, trace: Trace, runs: list[Any], known: dict[str, set[Point]] | None
) -> tuple[Any | None, set[Point]]:
    """This attempt's run and the points it holds; None if there is no run, or one that cannot be corrected."""
    for run in runs:
        if run.data.tags.get("attempt") != trace.attempt:
            continue
        run_id = run.info.run_id
        held = known[run_id] if known is not None and run_id in known else store.points(run_id)
        params = run.data.params
        # MLflow can change neither parameters nor points; a resumed trainer may have removed points from the spool.
        if not held - trace.points and all(
            params.get(name, value[:LONGEST_PARAM]) == value[:LONGEST_PARAM] for name, value in trace.params.items()
        ):
            return run, held
    return None, set()


def _outdated(run: Any, trace: Trace) -> list[str]:
    """Tags of a run that this study or an earlier state of the cell set, and that are no longer true."""
    study = next((name for name in trace.tags if name.startswith("study.")), "study.").removeprefix("study.")
    mine = (f"experiment.{study}.", "cause", "notes")
    return [name for name in run.data.tags if name.startswith(mine) and name not in trace.tags]
