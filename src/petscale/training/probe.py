"""Runs a probe: decides the cell of one seed in one round of a search from earlier results, and trains it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from petscale.artefacts.layout import Layout
from petscale.cells.record import read_result
from petscale.errors import BadInput, Exit
from petscale.search.posterior import Levels
from petscale.search.rates import Try, best_rate, edge_of
from petscale.search.record import Probe, read_probe, write_note, write_probe
from petscale.search.rule import Decision, Rule, Trial, decide
from petscale.study.cell import Cell
from petscale.study.rates import AnySearch, RateSearch
from petscale.study.searches import Search

log = logging.getLogger("petscale.search")

Train = Callable[[Cell], Exit]
"""Makes the result of a cell, unless a current one is there."""


def run_probe(search: AnySearch, number: int, seed: int, layout: Layout, train: Train) -> Exit:
    """Run one probe and write its record last, so that an interrupted probe runs again and continues its cell.

    Args:
        search: the search.
        number: of the round, from 1.
        seed: of the cell to train.
        layout: where records and results are.
        train: makes the cell's result.

    Returns:
        DONE, or how the training of the cell ended without a result.

    Raises:
        BadInput: an earlier record or a reference is missing or damaged.
    """
    path = Path(layout.probe(search.path, number, seed))
    if isinstance(search, RateSearch):
        record = _by_rates(search, seed, layout)
    else:
        record = _by_thresholds(search, number, seed, layout)
    if record.choice is None:
        write_probe(path, record)
        log.info("%s: round %d: ended (%s)", search.path, number, record.ended)
        return Exit.DONE
    cell = search.cell(seed, record.choice)
    log.info("%s: round %d: %s", search.path, number, cell.path)
    write_note(Path(layout.probe_note(search.path, number, seed)), seed, record.choice)
    code = train(cell)
    if code != Exit.DONE:
        return code
    score = search.score(read_result(Path(layout.result(cell.path))))
    write_probe(path, record.model_copy(update={"cell": cell.path, "score": score}))
    return Exit.DONE


def _by_thresholds(search: Search, number: int, seed: int, layout: Layout) -> Probe:
    """What a threshold search decides for one seed of a round."""
    decision = next_round(search, earlier_probes(search, number, layout), layout)
    budget = decision.budgets.get(seed)
    # The cap has room for other seeds of this round alone.
    ended = decision.ended or "cap" if budget is None else None
    return Probe(search=search.path, round=number, seed=seed, budget=budget, ended=ended)


def _by_rates(search: RateSearch, seed: int, layout: Layout) -> Probe:
    """The best of the rates that the first seed tried."""
    records = [read_result(Path(layout.result(path))) for path in search.references]
    devs = [100 * record.convergence.best_dev if record.status == "done" else None for record in records]
    tried = tuple(Try(learning_rate=rate, dev=dev) for rate, dev in zip(search.rates, devs, strict=True))
    rate = best_rate(tried)
    if rate is None:
        return Probe(search=search.path, round=1, seed=seed, ended="diverged", tried=tried)
    edge = edge_of(tried, rate)
    return Probe(search=search.path, round=1, seed=seed, learning_rate=rate, tried=tried, edge=edge)


def earlier_probes(search: Search, number: int, layout: Layout) -> list[Probe]:
    """The records of all rounds before round `number`."""
    return [
        read_probe(Path(layout.probe(search.path, before, seed)))
        for before in range(1, number)
        for seed in search.seeds
    ]


def next_round(search: Search, earlier: list[Probe], layout: Layout) -> Decision:
    """The decision that follows from the records of earlier rounds and from the references.

    Raises:
        BadInput: no cell of a reference has a score.
    """
    rule = Rule(
        Levels(search.rise, search.margin),
        factor=search.factor,
        cells=search.cells,
        smallest=search.smallest,
        largest=search.largest,
        confidence=search.confidence,
    )
    trials = [Trial(probe.seed, probe.budget, probe.score) for probe in earlier if probe.budget is not None]
    baseline = [max(score, search.guess) for score in _references(search.frozen, search, layout)]
    return decide(rule, trials, baseline, _references(search.full, search, layout), search.seeds)


def _references(cells: tuple[str, ...], search: Search, layout: Layout) -> list[float]:
    scores = [search.score(read_result(Path(layout.result(cell)))) for cell in cells]
    found = [score for score in scores if score is not None]
    if not found:
        raise BadInput(f"{search.path}: none of its {len(cells)} reference cells has a score: {cells[0]} ...")
    return found
