"""Rounds of tracking: look at every cell of a study, send what changed, go on past what is damaged."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from petscale.errors import BadInput
from petscale.study.grid import Grid
from petscale.tracking.ledger import Receipt, one_writer, read_receipt, write_receipt
from petscale.tracking.points import Point
from petscale.tracking.send import send
from petscale.tracking.store import Store, StoreUnavailable
from petscale.tracking.study_run import read_study
from petscale.tracking.trace import CELLS, glance, planned_tags, read_trace

FOLLOW_EVERY_S = 5.0
FOLLOW_LONGEST_S = 60.0


@dataclass
class Round:
    """What one round did."""

    phases: dict[str, str] = field(default_factory=dict)  # of every cell that has one
    sent: int = 0
    unchanged: int = 0
    damaged: list[str] = field(default_factory=list)  # one line each

    def line(self) -> str:
        """The round in one line."""
        ended = ", ".join(f"{count} {phase}" for phase, count in sorted(Counter(self.phases.values()).items()))
        cells = f"{len(self.phases)} cells tracked ({ended or 'none has started'})"
        return f"{cells}: {self.sent} sent, {self.unchanged} unchanged"


class Tracker:
    """The one writer of one study."""

    def __init__(self, grid: Grid, root: str, cells: Iterable[str]) -> None:
        """Args: the study's grid, the folder of results, and the cells to look at."""
        self._grid, self._root, self._cells = grid, root, list(cells)
        self._known: dict[str, set[Point]] = {}

    def round(self, open_store: Callable[[], Store], *, study_run: bool = True) -> Round:
        """Send everything that changed since the receipts were written.

        Raises:
            StoreUnavailable: the store failed; cells sent before that have their receipts.
        """
        with one_writer(self._root):
            store = open_store()
            done = Round()
            for cell in self._cells:
                try:
                    self._send(store, cell, done)
                except BadInput as error:
                    done.damaged.append(str(error))
                except FileNotFoundError:
                    continue  # published or begun anew while we looked; the next round sees it whole
            if study_run:
                trace = read_study(self._grid.study, self._root, done.phases)
                if trace is not None:
                    send(store, trace)
            return done

    def _send(self, store: Store, cell: str, done: Round) -> None:
        seen = glance(cell, self._root)
        if seen is None:
            return
        planned, study = self._grid.cells[cell], self._grid.study.name
        receipt, claims = read_receipt(self._root, cell), planned_tags(planned, study)
        same_store = receipt is not None and receipt.store == store.identity(CELLS)
        if receipt is not None and same_store and receipt.fingerprint == seen.fingerprint:
            mine = {name for name in receipt.claims if name.startswith((f"study.{study}", f"experiment.{study}."))}
            if mine == set(claims):
                done.phases[cell] = receipt.status
                done.unchanged += 1
                return
        trace = read_trace(planned, study, seen)
        live = trace.phase == "running"
        run = send(store, trace, known=self._known if live else None)
        done.phases[cell] = trace.phase
        done.sent += 1
        if live:
            return
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
            ),
        )

    def follow(self, open_store: Callable[[], Store], tell: Callable[[str], None], every_s: float) -> Round:
        """Rounds until no cell runs or waits any more. A dead store is asked ever more rarely, never given up."""
        pause, last = every_s, ""
        while True:
            try:
                done = self.round(open_store, study_run=False)
            except StoreUnavailable as error:
                line, pause = str(error), min(FOLLOW_LONGEST_S, 2 * pause)
            else:
                line, pause = done.line(), every_s
                if len(done.phases) == len(self._cells) and "running" not in done.phases.values():
                    return self.round(open_store)
            if line != last:
                tell(line)
                last = line
            time.sleep(pause)


def _without(claims: dict[str, str], study: str) -> dict[str, str]:
    """The claims of all studies but one."""
    mine = (f"experiment.{study}.",)
    return {name: value for name, value in claims.items() if name != f"study.{study}" and not name.startswith(mine)}
