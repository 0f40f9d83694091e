"""No secret gets into results, no pickle is read, and the tracking UI is not open to the network."""

from __future__ import annotations

import base64
import contextlib
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from petscale.errors import Exit
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import load_study
from tracking.conftest import STUDY, Results
from tracking.servers import Server

from .conftest import Bench

SECRETS = {
    "HF_TOKEN": "hf_secret0123456789abcdef",
    "MLFLOW_TRACKING_PASSWORD": "hunter2-tracking",
    "MLFLOW_TRACKING_TOKEN": "bearer-0123456789",
    "AWS_SECRET_ACCESS_KEY": "aws+secret/key=",
    "SLURM_JWT": "eyJhbGciOi.secret",
    "WANDB_API_KEY": "w4ndb0123456789",
}
ADDRESS = "hunter2-in-the-address"  # the password in the address of a tracking server


def test_no_secret_reaches_results(bench: Bench, tmp_path: Path, tally: Any) -> None:
    """Record, logs, status, lock, spools and checkpoints hold no secret, after success and after a crash."""
    count = tally("secret in the environment")

    def crash() -> None:
        os.environ.update(SECRETS)
        from petscale.training import loop

        def broken(*arguments: Any) -> Any:
            raise RuntimeError("a bug")

        loop.Loop._batch = broken  # type: ignore[method-assign]

    cell = bench.cell("t5", "lora")
    assert bench.train(cell, tmp_path, harm=crash) == Exit.BUG
    assert bench.train(cell, tmp_path, harm=lambda: os.environ.update(SECRETS)) == Exit.DONE
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 8
    leaks = [
        f"{name} in {path}" for path in files for name, value in SECRETS.items() if value.encode() in path.read_bytes()
    ]
    count.add(not leaks)
    assert leaks == []


@pytest.mark.slow
def test_no_secret_reaches_what_tracking_writes(tmp_path: Path, tally: Any) -> None:
    """Tries: a server, reached by an address with a password, that takes all; that is gone; that echoes what it gets.

    Looked at: receipts, tracked.json, the study's files, the database, the lines that `track` prints into a log.
    """
    study = tmp_path / "small.yaml"
    study.write_text(STUDY)
    results = Results(str(tmp_path / "results"), open_grid(load_study(study)))
    for cell in results.cells[:2]:
        results.run(cell)
    tracked, log = Path(results.root, "small", "tracked.json"), Path(results.root, "track.log")

    def track(port: int) -> int:
        uri = f"http://me:{ADDRESS}@127.0.0.1:{port}"
        command = [sys.executable, "-m", "petscale", "track", str(study), "--results", results.root, "--uri", uri]
        environment = {**os.environ, **SECRETS, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        with open(log, "ab") as out:
            done = subprocess.run([*command, "--out", str(tracked)], env=environment, stdout=out, stderr=out)
        return done.returncode

    count = tally("secret in the address of the tracking server")
    server = Server(f"sqlite:///{tmp_path}/server.db", tmp_path)
    try:
        assert track(server.port) == Exit.DONE
    finally:
        server.stop()
    for cell in results.cells[2:]:
        results.run(cell)
    with echo() as port:
        for each in (server.port, port):
            assert track(each) == Exit.INTERRUPTED
    receipts = list(Path(results.root, "tracking", "cells").rglob("*.json"))
    assert (len(receipts), tracked.exists(), "403" in log.read_text()) == (2, True, True)
    hidden = {**SECRETS, "the address": ADDRESS, "basic": base64.b64encode(f"me:{ADDRESS}".encode()).decode()}
    for path in (path for path in Path(results.root).rglob("*") if path.is_file()):
        leaks = [f"{name} in {path}" for name, value in hidden.items() if value.encode() in path.read_bytes()]
        count.add(not leaks)
        assert leaks == []


@contextlib.contextmanager
def echo() -> Iterator[int]:
    """A server that refuses, and tells all that it was sent; yields its port."""

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.end_headers()
            self.wfile.write(f"no rights for {self.headers.get('Authorization')}".encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def test_a_pickle_is_refused_and_never_run(bench: Bench, tmp_path: Path, tally: Any) -> None:
    """Tries: a pickle in the place of each file that a cell loads, and beside the weights."""
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(trap),))

    cell = bench.cell("t5", "lora")
    found = bench.dag.cell_inputs(cell)
    count = tally("pickle in the place of an input")
    for kind in ("tokens", "backbone"):
        for file in sorted((bench.inputs / found[kind]).parent.iterdir()):
            inputs, results = tmp_path / "inputs", tmp_path / "results"
            for each in ("tokens", "backbone"):
                shutil.copytree((bench.inputs / found[each]).parent, inputs / Path(found[each]).parent)
            (inputs / Path(found[kind]).parent / file.name).write_bytes(pickle.dumps(Trap()))
            code = bench.finish(bench.start(bench.arguments(cell, results, inputs=inputs), results))
            fine = code in (Exit.BAD_INPUT, Exit.DONE) and not trap.exists()
            count.add(fine)
            assert fine, (file.name, code, (results / "output.log").read_text()[-2000:])
            shutil.rmtree(inputs)
            shutil.rmtree(results)
    pickle.loads(pickle.dumps(Trap()))
    assert trap.exists()  # the trap works


def test_nothing_in_the_package_loads_pickles(root: Path) -> None:
    """Greps: no pickle module, no torch.load but the one conversion (`weights_only`), no numpy pickles."""
    forbidden = re.compile(
        r"\b(import (c?pickle|dill|joblib|shelve|marshal)|from (c?pickle|dill|joblib|shelve) import"
        r"|pickle\.loads?|torch\.load|read_pickle|allow_pickle=True|trust_remote_code=True|yaml\.unsafe_load)"
    )
    hits = []
    for path in sorted((root / "src").rglob("*.py")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if forbidden.search(line) and not ("torch.load" in line and "weights_only=True" in line):
                hits.append(f"{path.relative_to(root)}:{number}: {line.strip()}")
    assert hits == []


def test_the_tracking_ui_is_bound_to_loopback(root: Path) -> None:
    """Every `mlflow ui` or `mlflow server` that the project documents or runs names the loopback address."""
    texts = [root / "Makefile", root / "README.md", *(root / "docs").glob("*.md"), *(root / "workflow").rglob("*.smk")]
    commands = [
        line.strip()
        for path in texts
        if path.exists()
        for line in path.read_text().splitlines()
        if re.search(r"\bmlflow (ui|server)\b.*--", line)
    ]
    assert commands
    assert [line for line in commands if "--host 127.0.0.1" not in line] == []
