"""The warm worker: one process imports torch and transformers once, and forks a child for each cell.

Importing takes seconds and a small cell trains for seconds, so without it imports would take a third of a study's time
on one machine. The process that Snakemake starts (the asking process) sends its arguments, environment, working
directory and standard streams over a Unix socket. It waits, passes signals on, and exits with the child's exit code, so
Snakemake sees no difference. When the asking process dies, the child dies too. The worker ends after it has been idle
for a while. A worker that cannot start or dies is noticed at once, and the asking process then runs the command itself.
"""

from __future__ import annotations

import array
import contextlib
import hashlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from petscale.artefacts.files import write_atomically
from petscale.errors import NOTE, STOPPING

IDLE_S = 120.0
START_TIMEOUT_S = 60.0
_MAX_REQUEST = 1 << 20
_MODULES = ".modules"


def socket_path() -> Path:
    """The socket of the worker, which depends on user, interpreter and code, so that changed code gets a new worker."""
    package = Path(__file__).resolve().parent.parent
    newest = max(path.stat().st_mtime_ns for path in package.rglob("*.py"))
    key = hashlib.sha256(f"{sys.executable}:{package}:{newest}".encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"petscale-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise OSError(f"{folder} belongs to another user")
    return folder / f"{key}.sock"


def wanted() -> bool:
    """Whether to use a worker: it serves many small cells on one machine, not the jobs of a scheduler."""
    scheduled = "SLURM_JOB_ID" in os.environ or "APPTAINER_CONTAINER" in os.environ
    return os.environ.get("PETSCALE_WORKER", "1") != "0" and not scheduled


def ask(arguments: Sequence[str], worker: Sequence[str]) -> int | None:
    """Run `petscale <arguments>` in a child of the worker.

    Args:
        arguments: words of the command line, without `petscale`.
        worker: the command that starts a worker if none listens; the path of its socket is added as the last word.

    Returns:
        The exit code, or None if no worker can be started.
    """
    try:
        connection = _connect(socket_path(), worker)
    except OSError as error:
        print(f"{NOTE}no warm worker ({error}); this cell imports its libraries itself", file=sys.stderr)
        return None
    request = {
        "arguments": list(arguments),
        "environment": dict(os.environ),
        "cwd": os.getcwd(),
        "t0": _process_start(),
    }
    payload = json.dumps(request).encode()
    with connection, _signals_kept() as kept:
        files = array.array("i", [0, 1, 2])
        header = len(payload).to_bytes(4, "big")
        try:
            connection.sendmsg([header], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
            connection.sendall(payload)
            child = int.from_bytes(_receive(connection, 4), "big")
        except OSError:
            child = 0
        if not child:
            print(f"{NOTE}the warm worker died; this cell imports its libraries itself", file=sys.stderr)
            return None
        kept.pass_to(child)
        answer = _receive(connection, 1)
    if not answer:
        print(f"petscale: process {child}, which ran this command, was killed", file=sys.stderr)
        return 1
    return answer[0]


class _Kept:
    """Signals that came before it was known which process they are for, and that process."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        self._process: int | None = None

    @property
    def is_passing(self) -> bool:
        """Whether the process is known."""
        return self._process is not None

    def take(self, signum: int, frame: object) -> None:
        """Handle a signal."""
        if self._process is None:
            self.signals.append(signum)
        else:
            _signal(self._process, signum)

    def pass_to(self, process: int) -> None:
        """Pass on all signals, earlier ones included."""
        self._process = process
        while self.signals:
            _signal(process, self.signals.pop(0))


@contextlib.contextmanager
def _signals_kept() -> Iterator[_Kept]:
    """Context in which signals that end a process are kept, and passed on from when it is known to which.

    If it stays unknown, they come at the end. Otherwise the other process decides what they do, also after the end.

    Yields:
        What was kept, which can be told where to pass the signals on.
    """
    kept = _Kept()
    before: dict[signal.Signals, Any] = {}
    for signum in STOPPING:
        if signal.getsignal(signum) != signal.SIG_IGN:  # as under nohup, or in the background of a shell
            before[signum] = signal.signal(signum, kept.take)
    try:
        yield kept
    finally:
        if not kept.is_passing:
            for signum, handler in before.items():
                signal.signal(signum, handler)
            for kept_signal in kept.signals:
                os.kill(os.getpid(), kept_signal)


def _connect(path: Path, worker: Sequence[str]) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    with contextlib.suppress(OSError):
        _connect_to(connection, path)
        return connection
    started = _start(path, worker)
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        # A worker that lost the socket to another one ends too, so the socket is tried once more after its end.
        code = started.poll()
        try:
            _connect_to(connection, path)
        except OSError:
            if code is not None:
                raise OSError(f"it ended with code {code}, see {path.with_suffix('.log')}") from None
            time.sleep(0.05)
        else:
            return connection
    raise OSError(f"it did not start within {START_TIMEOUT_S:.0f} s")


def _connect_to(connection: socket.socket, path: Path) -> None:
    with _short(path) as name:
        connection.connect(name)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of at most 107 bytes for a socket, which is what the kernel allows; $TMPDIR alone may be longer."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _start(path: Path, worker: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a worker in a new session; if several are started at once, only the one that gets the socket stays."""
    log = path.with_suffix(".log")
    with open(log, "ab") as out:
        return subprocess.Popen(
            [*worker, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def _process_start() -> float:
    """Epoch seconds at which this process started, from the kernel, so that its imports count as start-up."""
    ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - (uptime - ticks / os.sysconf("SC_CLK_TCK"))


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        try:
            part = connection.recv(size - len(data))
        except InterruptedError:
            continue
        if not part:
            return data
        data += part
    return data


def _signal(process: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signum)


# The worker's side ---------------------------------------------------------------------------------------


def serve(path: Path, run: Callable[[list[str], float], int]) -> None:
    """Listen on `path`; fork a child for each request until idle for `IDLE_S` seconds.

    Args:
        path: path of the socket to create.
        run: function that runs a command in the child; it takes the words of the command and the start of the asking
            process in epoch seconds, and returns the exit code.
    """
    listener = socket.socket(socket.AF_UNIX)
    temporary = path.with_suffix(f".{os.getpid()}")
    with _short(temporary) as name:
        listener.bind(name)
    listener.listen(128)
    try:
        os.link(temporary, path)  # atomic: if two workers start at once, the second fails here and ends
    except FileExistsError:
        if _answers(path):
            return
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    children: dict[int, socket.socket] = {}
    last = time.monotonic()
    try:
        while children or time.monotonic() - last < IDLE_S:
            readable, _, _ = select.select([listener, *children.values()], [], [], 0.02 if children else 1.0)
            if listener in readable:
                _import_what_children_did(path)
                connection, _ = listener.accept()
                child = _fork(listener, connection, run, path)
                children[child] = connection
            _drop_orphans(children, readable)
            last = time.monotonic() if _reap(children) or children else last
    finally:
        path.unlink(missing_ok=True)
        for told in _told(path):
            told.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            _connect_to(probe, path)
        except OSError:
            return False
    return True


def _fork(
    listener: socket.socket, connection: socket.socket, run: Callable[[list[str], float], int], path: Path
) -> int:
    child = os.fork()
    if child:
        return child
    listener.close()
    code = 1
    before = set(sys.modules)
    try:
        header, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(3 * 4))
        if not header:
            raise SystemExit(0)  # somebody only looked whether a worker is there
        files = array.array("i")
        for _, _, data in ancillary:
            files.frombytes(data)
        request = json.loads(_receive(connection, min(int.from_bytes(header, "big"), _MAX_REQUEST)))
        for target, file in enumerate(files):
            os.dup2(file, target)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["cwd"])
        os.setsid()
        # Whether the worker ignores these depends on who started it; the child gets them from its asking process alone.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        connection.sendall(os.getpid().to_bytes(4, "big"))
        code = run(request["arguments"], request["t0"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        with contextlib.suppress(OSError):
            names = [name for name in sys.modules if name not in before]
            if code == 0 and names:
                write_atomically(path.with_suffix(f".{os.getpid()}{_MODULES}"), json.dumps(names))
            connection.sendall(bytes([code & 255]))
        os._exit(code & 255)


def _told(path: Path) -> list[Path]:
    """The files in which children that succeeded have listed the modules that they imported."""
    return list(path.parent.glob(f"{path.stem}.*{_MODULES}"))


def _import_what_children_did(path: Path) -> None:
    """Import what earlier children have imported, so that the next one finds it in memory.

    Which modules a cell needs depends on its family and method. They are over a thousand, and take seconds.
    """
    for told in _told(path):
        for name in json.loads(told.read_text()):
            if name not in sys.modules:
                with contextlib.suppress(Exception):  # some are no modules of files; a child imports them itself
                    importlib.import_module(name)
        told.unlink()


def _drop_orphans(children: dict[int, socket.socket], readable: list[socket.socket]) -> None:
    """Stop the child of each asking process that has died, which is seen from the closed end of its socket."""
    for child, connection in children.items():
        if connection not in readable:
            continue
        # The child may have read the request meanwhile; then waiting for data would block the worker until it ends.
        with contextlib.suppress(BlockingIOError):
            if not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                _signal(child, signal.SIGKILL)


def _reap(children: dict[int, socket.socket]) -> bool:
    found = False
    for child in list(children):
        done, _ = os.waitpid(child, os.WNOHANG)
        if done:
            children.pop(child).close()
            found = True
    return found
