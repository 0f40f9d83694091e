"""Searches on disk: the cells that they have chosen so far, records that no longer hold, and their status."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from petscale.artefacts.layout import SHARED, Layout
from petscale.cells.phase import cell_outcome
from petscale.cells.record import read_result
from petscale.errors import BadInput
from petscale.search.record import Probe, read_note, read_probe
from petscale.study.cell import Cell
from petscale.study.grid import Grid, PlannedCell
from petscale.study.rates import AnySearch
from petscale.workspace.commands import snakemake


@dataclass(frozen=True)
class SearchStatus:
    """The status of one search.

    Attributes:
        search: its path below results/searches.
        phase: `ended`, `failed`, `running` or `pending` (which a search between two rounds is too).
        ended: why it has ended: `known`, `cap`, `not learnt`, or `diverged` if all rates did.
        rounds: rounds that are complete. most_rounds: rounds that the cap allows.
        cells: cells that have a result. most_cells: the cap.
        failed: the cell that failed. cause: its cause in one line.
        rerun: the full command that continues the search.
    """

    search: str
    phase: str
    ended: str | None
    rounds: int
    most_rounds: int
    cells: int
    most_cells: int
    failed: str | None
    cause: str | None
    rerun: str


def probes(search: AnySearch) -> list[tuple[int, int]]:
    """Round and seed of every probe of a search, in order."""
    return [(number, seed) for number in range(1, search.rounds + 1) for seed in search.seeds]


def with_found(grid: Grid, layout: Layout) -> Grid:
    """The grid with the cells that its searches have chosen so far, those that run or failed included."""
    full = replace(grid, cells=dict(grid.cells))
    for path, search in grid.searches.items():
        for cell in _chosen(search, layout):
            for use in grid.uses[path]:
                full.add(cell, use, search=path)
    return full


def chosen_cell(grid: Grid, layout: Layout, path: str) -> PlannedCell | None:
    """The cell of that path, if a search has chosen it."""
    for name, search in grid.searches.items():
        if path.startswith(f"{search.dearest.path.split('/')[0]}/{search.dearest.task}/{search.dearest.method}"):
            for cell in _chosen(search, layout):
                if cell.path == path:
                    return replace(grid.dearest(name), cell=cell)
    return None


def broken_probes(grid: Grid, layout: Layout, targets: Collection[str] = ()) -> list[str]:
    """Records of probes whose cell has no result any more, or another score than they say.

    They have to be made again, and with them those of later rounds, whose budgets follow from their scores.

    Args:
        grid: the study's grid.
        layout: where records and cells are.
        targets: what is asked for; none means the study. If files of cells are asked for, or records of some searches,
            only the records of these searches are looked at.
    """
    folders = {str(PurePath(target).parent) for target in targets if _is_shared(target, layout)}
    whole = not targets or any(not _is_shared(target, layout) for target in targets)
    return [
        path
        for search in grid.searches.values()
        if whole or str(PurePath(layout.probe(search.path, 1, 1)).parent) in folders
        for number, seed in probes(search)
        if not _holds(path := layout.probe(search.path, number, seed), search, seed, layout)
    ]


def search_status(grid: Grid, layout: Layout, command: str) -> list[SearchStatus]:
    """The status of every search of a study, in the order of the plan.

    Args:
        grid: the study's grid.
        layout: where records and cells are.
        command: options that follow the target in the rerun command.
    """
    return [_status(search, layout, command) for search in grid.searches.values()]


def _status(search: AnySearch, layout: Layout, command: str) -> SearchStatus:
    found = {place: _record(search, *place, layout) for place in probes(search)}
    rounds = {number: [found[number, seed] for seed in search.seeds] for number, _ in found}
    complete = [number for number, records in rounds.items() if all(records)]
    trained = [probe for probe in found.values() if probe is not None and probe.cell is not None]
    ended = next((probe.ended for probe in found.values() if probe is not None and probe.ended), None)
    if ended is None and len(complete) == search.rounds:
        ended = "cap"
    open_ends = [place for place, probe in found.items() if probe is None]
    begun = [search.cell(*note) for place in open_ends if (note := read_note(_note(search, *place, layout)))]
    outcomes = [(cell.path, cell_outcome(layout, cell.path)) for cell in begun]
    failed = next(((path, seen) for path, seen in outcomes if seen.phase in ("failed", "interrupted")), None)
    running = any(seen.phase == "running" for _, seen in outcomes)
    over = ended is not None and not open_ends
    target = Layout().probe(search.path, *(open_ends[0] if failed else (search.rounds, search.seeds[-1])))
    return SearchStatus(
        search=search.path,
        phase="ended" if over else "failed" if failed else "running" if running else "pending",
        ended=ended,
        rounds=len([number for number in complete if any(probe and probe.cell for probe in rounds[number])]),
        most_rounds=search.rounds,
        cells=len(trained),
        most_cells=search.cells,
        failed=failed[0] if failed else None,
        cause=failed[1].cause if failed else None,
        rerun=snakemake(target, command),
    )


def _chosen(search: AnySearch, layout: Layout) -> Iterator[Cell]:
    for number, seed in probes(search):
        probe = _record(search, number, seed, layout)
        if probe is not None and probe.choice is not None:
            yield search.cell(probe.seed, probe.choice)
        elif probe is None and (note := read_note(_note(search, number, seed, layout))):
            yield search.cell(*note)


def _is_shared(target: str, layout: Layout) -> bool:
    """Whether a target is a file that no study owns, such as the result of a cell; rules and reports are not."""
    parts = PurePath(target).parts
    root = PurePath(layout.root).parts
    return parts[: len(root)] == root and len(parts) > len(root) and parts[len(root)] in SHARED


def _holds(path: str, search: AnySearch, seed: int, layout: Layout) -> bool:
    """Whether a record agrees with the result of its cell; true where there is no record."""
    if not Path(path).exists():
        return True
    try:
        probe = read_probe(Path(path))
        if probe.cell is None:
            return True
        record = read_result(Path(layout.result(probe.cell)))
    except BadInput:
        return False
    planned = None if probe.choice is None else search.cell(seed, probe.choice)
    return planned is not None and record.digest == planned.digest and search.score(record) == probe.score


def _record(search: AnySearch, number: int, seed: int, layout: Layout) -> Probe | None:
    try:
        return read_probe(Path(layout.probe(search.path, number, seed)))
    except BadInput:
        return None


def _note(search: AnySearch, number: int, seed: int, layout: Layout) -> Path:
    return Path(layout.probe_note(search.path, number, seed))
