"""A real MLflow server on PostgreSQL, both on loopback, and a proxy that disturbs the connection."""

from __future__ import annotations

import contextlib
import http.client
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`; Debian keeps them off the path."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


@dataclass(frozen=True)
class Postgres:
    """A database cluster of its own, with one empty database."""

    uri: str
    data: Path

    def another(self, name: str) -> str:
        """Make one more empty database; returns its address."""
        import psycopg2

        connection = psycopg2.connect(self.uri)
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
        connection.close()
        return self.uri.rsplit("/", 1)[0] + f"/{name}"

    def signal(self, signum: int) -> None:
        """Send a signal to the cluster's every process: SIGSTOP freezes it as a dying disk would."""
        parent = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        for process in (parent, *parent.children(recursive=True)):
            process.send_signal(signum)


@contextlib.contextmanager
def postgres(programs: Path) -> Iterator[Postgres]:
    """A database cluster on a free port of loopback."""
    folder = Path(tempfile.mkdtemp(prefix="petscale-pg-"))
    as_user: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            as_user = ["runuser", "-u", "postgres", "--"]
    port, data = free_port(), folder / "data"
    run: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "cwd": "/"}
    try:
        subprocess.run([*as_user, programs / "initdb", "-D", data, "-U", "petscale", "-A", "trust", "-N"], **run)
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
        control = [*as_user, programs / "pg_ctl", "-D", data, "-w", "-t", "120", "-l", folder / "log"]
        subprocess.run([*control, "-o", options, "start"], **run)
        try:
            yield Postgres(f"postgresql://petscale:unused@127.0.0.1:{port}/postgres", data)
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **run)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """`mlflow server` on loopback; can be killed and started again."""

    def __init__(self, store: str, folder: Path) -> None:
        self.store, self.folder, self.port = store, folder, free_port()
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with open(self.folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
                    *("--backend-store-uri", self.store, "--artifacts-destination", str(self.folder / "artifacts")),
                    *("--workers", "1"),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
                env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            )
        until = time.monotonic() + 240
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                return
            assert self._process.poll() is None, (self.folder / "server.log").read_text()[-3000:]
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.3)

    def stop(self, signum: int = signal.SIGTERM) -> None:
        os.killpg(self._process.pid, signum)
        self._process.wait()


class FlakyProxy:
    """Forwards to a server, and at random answers 403 or 500, hangs, or drops a request or (worse) its answer."""

    FAULTS = ("403", "500", "hang", "drop the request", "drop the answer")

    def __init__(self, port: int, share: float, seed: int) -> None:
        self.share, self.seen = share, dict.fromkeys(self.FAULTS, 0)
        draw, lock, proxy = random.Random(seed), threading.Lock(), self

        class Forward(BaseHTTPRequestHandler):
            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with lock:
                    fault = draw.choice(proxy.FAULTS) if draw.random() < proxy.share else None
                    if fault:
                        proxy.seen[fault] += 1
                self.close_connection = True
                if fault in ("403", "500"):
                    self.send_error(int(fault))
                    return
                if fault == "hang":
                    time.sleep(1.6)
                if fault in ("hang", "drop the request"):
                    return
                upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
                try:
                    upstream.request(self.command, self.path, body, headers)
                    answer = upstream.getresponse()
                    data = answer.read()
                except OSError:
                    return
                finally:
                    upstream.close()
                if fault == "drop the answer":
                    return
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815

            def log_message(self, *arguments: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
