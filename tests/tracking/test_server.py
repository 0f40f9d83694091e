"""With a real server that works or fails, every metric of every cell is there once after the last `track`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from petscale.tracking.ledger import root_id
from petscale.tracking.rounds import Tracker
from petscale.tracking.store import Store, StoreUnavailable
from petscale.tracking.trace import subject
from petscale.tracking.verify import verify_cell

from .servers import FlakyProxy, Postgres, Server, postgres, postgres_programs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    pytest.importorskip("psycopg2", reason="the PostgreSQL driver is not installed (psycopg2-binary)")
    with postgres(programs) as running:
        yield running


@pytest.fixture(scope="module")
def server(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(database.uri, tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


def check(results: Any, store: Store) -> None:
    for cell in results.cells:
        assert verify_cell(store, results.grid.cells[cell], "small", results.root) == []
        # Other tests' folders of results have runs of the same cells on this server.
        roots = [run.data.tags["root"] for run in store.runs(subject(cell))]
        assert roots.count(root_id(results.root)) == 1


def fill(results: Any) -> None:
    for cell, phase in zip(results.cells, ("done", "diverged", "failed", "interrupted"), strict=True):
        results.run(cell, phase)


def test_postgresql_behind_a_server(results: Any, server: Server, track: Any) -> None:
    """The configuration of a shared server, through the command; twice changes nothing; --verify agrees."""
    fill(results)
    first = track(results, "--uri", server.uri, timeout=300)
    assert (first.returncode, first.stderr) == (0, "")
    assert "4 sent, 0 unchanged" in first.stdout
    assert "0 sent, 4 unchanged" in track(results, timeout=300, MLFLOW_TRACKING_URI=server.uri).stdout
    verified = track(results, "--verify", "--uri", server.uri, timeout=300)
    assert (verified.returncode, verified.stdout.strip()) == (0, "4 cells agree with the store, 0 differ")


def test_a_server_that_fails_hangs_refuses_and_restarts(
    results: Any, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Any
) -> None:
    """One request in fourteen goes wrong, and the server is killed half-way; rounds go on until one succeeds."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    fill(results)
    proxy = FlakyProxy(server.port, share=0.07, seed=3)
    tracker = Tracker(results.grid, results.root, results.cells)
    failed = 0
    try:
        for attempt in range(200):
            if attempt == 3:
                server.stop(signal.SIGKILL)
            if attempt == 5:
                server.start()
            try:
                done = tracker.round(lambda: Store(proxy.uri, tmp_path / "unused"))
            except StoreUnavailable:
                failed += 1
                continue
            failed += len(done.refused)  # a lost answer, while the next one came
            if attempt > 5 and not done.refused:
                break
        else:
            raise AssertionError("never got through")
    finally:
        proxy.close()
    assert failed >= 3
    assert sum(proxy.seen.values()) > 5
    with tally("server that fails, hangs, refuses and restarts").trying():
        check(results, Store(server.uri, tmp_path / "unused"))


def test_a_frozen_postgresql_costs_seconds(
    results: Any, database: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Any
) -> None:
    """Without a server between: the database stops half-way, says nothing more, and later goes on."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    fill(results)
    uri = database.another("direct")
    tracker = Tracker(results.grid, results.root, results.cells)
    real, calls = Store.log, 0

    def freezing(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            database.signal(signal.SIGSTOP)
        real(*arguments)

    monkeypatch.setattr(Store, "log", freezing)
    try:
        for _ in ("half-way", "at once"):
            with pytest.raises(StoreUnavailable, match="PostgreSQL did not answer for 2 s"):
                tracker.round(lambda: Store(uri, tmp_path / "artifacts"))
        assert calls == 2
    finally:
        database.signal(signal.SIGCONT)
    tracker.round(lambda: Store(uri, tmp_path / "artifacts"))
    with tally("frozen PostgreSQL").trying():
        check(results, Store(uri, tmp_path / "artifacts"))
