"""Rounds of tracking: look at every cell of a study, send those that changed, and skip damaged or refused ones."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from petscale.artefacts.layout import Layout
from petscale.errors import BadInput
from petscale.study.grid import Grid
from petscale.tracking.glance import glance
from petscale.tracking.ledger import Receipt, one_writer, read_receipt, root_id, write_receipt
from petscale.tracking.points import Point
from petscale.tracking.send import send
from petscale.tracking.store import Store, StoreRefused, StoreUnavailable
from petscale.tracking.study_run import read_study
from petscale.tracking.trace import CELLS, planned_tags, read_trace
from petscale.workspace.searches import search_status, with_found

FOLLOW_EVERY_S = 5.0
FOLLOW_LONGEST_S = 60.0
# After this many refusals in a row the store counts as unavailable; each of them may have taken half a minute.
REFUSALS_IN_A_ROW = 10


@dataclass
class Round:
    """The result of one round."""

    phases: dict[str, str] = field(default_factory=dict)  # of every cell that has one
    sent: int = 0
    unchanged: int = 0
    damaged: list[str] = field(default_factory=list)  # cells whose files cannot be used, one line each
    refused: list[str] = field(default_factory=list)  # runs that the store refused although it answers, one line each

    def line(self) -> str:
        """The round in one line."""
        ended = ", ".join(f"{count} {phase}" for phase, count in sorted(Counter(self.phases.values()).items()))
        cells = f"{len(self.phases)} cells tracked ({ended or 'none has started'})"
        wrong = [f"{len(lines)} {word}" for word in ("damaged", "refused") if (lines := getattr(self, word))]
        return ", ".join([f"{cells}: {self.sent} sent, {self.unchanged} unchanged", *wrong])

    def is_last(self, cells: int) -> bool:
        """Whether another round of that many cells would find nothing new: each has ended or needs the user."""
        seen = len(self.phases) + len(self.damaged) + len(self.refused)
        return seen == cells and "running" not in self.phases.values()


class Tracker:
    """Sends the cells and the run of one study to a store."""

    def __init__(self, grid: Grid, root: str, cells: Iterable[str]) -> None:
        """Args: the study's grid, the folder of results, and the cells to look at."""
        self._grid, self._root, self._cells = grid, root, list(cells)
        self._whole = set(self._cells) == set(grid.cells)
        self._known: dict[str, set[Point]] = {}
        self._id = ""  # root_id, which is known once a round holds the lock

    def round(self, open_store: Callable[[], Store], *, study_run: bool = True) -> Round:
        """Send everything that changed since the receipts were written.

        The study's run says how all cells ended, so it is sent only if this round looks at all of them.

        Raises:
            StoreUnavailable: the store is down; cells sent before that have their receipts.
        """
        with one_writer(self._root):
            self._id = root_id(self._root)
            store = open_store()
            done, in_a_row, sent = Round(), 0, 0
            for cell in self._cells:
                try:
                    self._send(store, cell, done)
                except BadInput as error:
                    done.damaged.append(f"{cell}: {error}")
                except FileNotFoundError:
                    continue  # the cell was published or started again meanwhile; the next round reads all its files
                except StoreUnavailable as error:
                    done.refused.append(_refusal(store, cell, error))
                    in_a_row, sent = (in_a_row + 1 if done.sent == sent else 1), done.sent
                    if in_a_row == REFUSALS_IN_A_ROW:
                        raise StoreUnavailable(f"refused {in_a_row} cells, one after the other: {error}") from None
            if study_run and set(self._cells) == set(self._grid.cells):
                self._send_study(store, done)
            return done

    def _send_study(self, store: Store, done: Round) -> None:
        study = self._grid.study
        try:
            trace = read_study(study, self._root, done.phases, self._id)
            if trace is not None:
                send(store, trace)
        except FileNotFoundError:
            return  # its report is being written again; the next round reads all its files
        except StoreUnavailable as error:
            done.refused.append(_refusal(store, f"study {study.name}", error))

    def _send(self, store: Store, cell: str, done: Round) -> None:
        seen = glance(cell, self._root)
        if seen is None:
            return
        planned, study = self._grid.cells[cell], self._grid.study.name
        receipt, claims = read_receipt(self._root, cell), planned_tags(planned, study)
        same_store = receipt is not None and (receipt.store, receipt.root) == (store.identity(CELLS), self._id)
        if receipt is not None and same_store and receipt.fingerprint == seen.fingerprint:
            mine = {name for name in receipt.claims if name.startswith((f"study.{study}", f"experiment.{study}."))}
            if mine == set(claims):
                done.phases[cell] = receipt.status
                done.unchanged += 1
                return
        trace = read_trace(planned, study, seen, self._id)
        live = trace.phase == "running"
        run = send(store, trace, known=self._known if live else None)
        if not live:
            others = {} if receipt is None or not same_store else _without(receipt.claims, study)
            write_receipt(
                self._root,
                Receipt(
                    cell=cell,
                    store=store.identity(CELLS),
                    run=run,
                    attempt=trace.attempt,
                    status=trace.phase,
                    fingerprint=seen.fingerprint,
                    metrics=len(trace.points),
                    claims=others | claims,
                    root=self._id,
                ),
            )
        done.phases[cell] = trace.phase
        done.sent += 1

    def follow(self, open_store: Callable[[], Store], tell: Callable[[str], None], every_s: float) -> Round:
        """Repeat rounds until no cell is running or pending. A dead store is tried at growing intervals, without end.

        Damaged or refused cells count as ended, and are reported when they are first seen.
        """
        pause, last = every_s, ""
        wrong: set[str] = set()
        while True:
            self._look()
            try:
                done = self.round(open_store, study_run=False)
            except StoreUnavailable as error:
                line, pause = str(error), min(FOLLOW_LONGEST_S, 2 * pause)
            else:
                line, pause = done.line(), every_s
                if done.is_last(len(self._cells)) and not self._searching():
                    return self.round(open_store)
                for each in (*done.damaged, *done.refused):
                    if each not in wrong:
                        tell(each)
                        wrong.add(each)
            if line != last:
                tell(line)
                last = line
            time.sleep(pause)

    def _look(self) -> None:
        """Also look at the cells that searches have chosen meanwhile, if all cells of the study are looked at."""
        if self._whole:
            self._grid = with_found(self._grid, Layout(self._root))
            self._cells = list(self._grid.cells)

    def _searching(self) -> bool:
        """Whether a search may still choose cells; one that failed waits for the user."""
        statuses = search_status(self._grid, Layout(self._root), command="") if self._whole else []
        return any(status.phase in ("running", "pending") for status in statuses)


def _refusal(store: Store, name: str, error: StoreUnavailable) -> str:
    """The message of one line for a run that the store refuses although it answers; raises if the store is down."""
    if not isinstance(error, StoreRefused):
        store.ask()
    return f"{name}: {error}"


def _without(claims: dict[str, str], study: str) -> dict[str, str]:
    """The claims (tags) of all studies but one."""
    mine = (f"experiment.{study}.",)
    return {name: value for name, value in claims.items() if name != f"study.{study}" and not name.startswith(mine)}
