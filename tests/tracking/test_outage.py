"""A dead, hanging or refusing server costs seconds and gives one line, and training is not affected."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from petscale.errors import DuplicateTrainer, Exit
from petscale.tracking.ledger import one_writer
from petscale.tracking.rounds import Tracker
from petscale.tracking.store import Store, StoreUnavailable


@pytest.fixture(autouse=True)
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")


@pytest.fixture
def refusing() -> Iterator[str]:
    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.end_headers()
            self.wfile.write(b"Invalid Host header")

        do_POST = do_GET  # noqa: N815

        def log_message(self, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuse)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize("kind", ["dead", "hanging", "refusing", "dead postgresql", "hanging postgresql"])
def test_an_outage_is_short_and_one_line(kind: str, refusing: str, tmp_path: Path, tally: Any) -> None:
    """Guards the writer's lock, which `track` holds meanwhile; mlflow itself waits for minutes, or for ever."""
    scheme = "http"
    if "postgresql" in kind:
        pytest.importorskip("psycopg2", reason="the PostgreSQL driver is not installed (psycopg2-binary)")
        scheme = "postgresql"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        if kind.startswith("hanging"):
            listener.listen()
        else:
            listener.close()
        uri = refusing if kind == "refusing" else f"{scheme}://user:hunter2@127.0.0.1:{port}/x"
        started = time.monotonic()
        with tally("store dead, hanging or refusing").trying(), pytest.raises(StoreUnavailable) as caught:
            Store(uri, tmp_path)
        assert time.monotonic() - started < 60  # an end, not a speed: mlflow's own is after minutes
    line = str(caught.value)
    assert "\n" not in line
    assert "hunter2" not in line
    assert "`petscale track` sends the rest" in line
    assert bool(re.search(r"\b403\b", line)) == (kind == "refusing")  # a port may have these digits too
    assert caught.value.exit_code == Exit.INTERRUPTED


def test_a_store_that_fails_half_way_is_finished_by_the_next_round(
    results: Any, open_store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch, tally: Any
) -> None:
    """The store dies at every verb in turn; afterwards each cell is there once and whole."""
    from petscale.tracking.trace import subject
    from petscale.tracking.verify import verify_cell

    cell = results.cells[0]
    count = tally("store that dies while a cell is sent")
    tracker = Tracker(results.grid, results.root, [cell])
    for verb in ("runs", "create", "log", "put", "points", "end", "delete"):
        results.run(cell)  # a new attempt each time, so that there is something to create and to retire
        real = getattr(Store, verb)
        spare = 1 if verb == "put" else 0

        def broken(*arguments: Any, real: Any = real, **options: Any) -> Any:
            nonlocal spare
            if spare:
                spare -= 1
                return real(*arguments, **options)
            raise StoreUnavailable("down")

        store = open_store()
        with monkeypatch.context() as patch:
            if verb == "delete" and len(store.runs(subject(cell))) == 0:
                continue
            patch.setattr(Store, verb, broken)
            patch.setattr(Store, "ask", broken)
            with pytest.raises(StoreUnavailable):
                tracker.round(lambda opened=store: opened)
        tracker.round(open_store)
        wrong = verify_cell(open_store(), results.grid.cells[cell], "small", results.root)
        count.add(not wrong)
        assert wrong == []


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    told = pytest.raises(DuplicateTrainer, match=r"writer\.lock: process \d+ on")
    with one_writer(str(tmp_path)), told, one_writer(str(tmp_path), wait_s=0.3):
        pass
    with one_writer(str(tmp_path), wait_s=0.3):
        pass


@pytest.mark.slow
def test_four_trackers_at_a_time_change_nothing(
    results: Any, open_store: Callable[[], Store], track: Any, tally: Any
) -> None:
    from petscale.tracking.trace import subject

    for cell in results.cells:
        results.run(cell)
    open_store()
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(track(results, timeout=300).returncode)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0, 0, 0]
    store = open_store()
    assert [len(store.runs(subject(cell))) for cell in results.cells] == [1, 1, 1, 1]
    done = track(results, "--verify", timeout=300)
    same = (done.returncode, done.stdout.strip()) == (0, "4 cells agree with the store, 0 differ")
    tally("four trackers at a time").add(same)
    assert same, done.stdout


def test_training_imports_no_mlflow() -> None:
    """The promise that no tracking server can slow a cell down."""
    program = "import sys, petscale.training.run; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
