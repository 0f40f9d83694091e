"""Runs a function in several processes of this machine, and combines their outcomes into one."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from petscale.errors import STOPPING, Interrupted
from petscale.parallel.team import Team

HOST = "127.0.0.1"
# Members may wait for the leader to write hundreds of gigabytes. A dead member is not detected by this time limit, but
# by the process that launched it.
PATIENCE = timedelta(hours=6)
# When a member fails, the others fail too. This is how long their reports are awaited, to find the first cause.
LAST_WORDS_S = 1.0


@dataclass(frozen=True)
class _Failure:
    """Why a member ended without a result. `error` is None if it could not report one."""

    rank: int
    at: float
    error: Exception | None
    trace: str = ""


def launch(work: Callable[..., Any], arguments: tuple[Any, ...], *, size: int, imports: list[str]) -> Any:
    """Call `work(team, *arguments)` in `size` processes; returns what the leader returns.

    SIGTERM, Ctrl-C and the end of the terminal reach all of them as SIGTERM. They end when this process ends, for
    whatever reason.

    Args:
        work: a function of a module. It must return plain data, because a tensor cannot leave its process.
        arguments: plain data.
        size: number of processes.
        imports: modules that are imported once for all processes.

    Raises:
        Interrupted: SIGTERM came before the processes could handle it.
        RuntimeError: a process was killed.
        Exception: the error of the process that failed first; the others are killed.
    """
    # CUDA and threads do not survive a plain fork. A fork server imports torch once for all members.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(imports)
    # The socket is created here, because the one of torch's store would be open to the network.
    listener = socket.create_server((HOST, 0))
    port = listener.getsockname()[1]
    store = TCPStore(HOST, port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach())
    members: list[Any] = []
    pipes: list[Connection] = []
    with _passed_on(members) as asked:
        try:
            for rank in range(size):
                ours, theirs = context.Pipe(duplex=False)
                member = context.Process(
                    target=_member,
                    args=(Team(rank, size), store.port, dict(os.environ), theirs, work, arguments),
                    name=f"rank {rank}",
                )
                member.start()
                theirs.close()
                members.append(member)
                pipes.append(ours)
            return _outcome(members, pipes, asked)
        finally:
            for member in members:
                member.kill()
            for member in members:
                member.join()


def _outcome(members: list[Any], pipes: list[Connection], asked: list[int]) -> Any:
    results: dict[int, Any] = {}
    failures: list[_Failure] = []
    open_pipes = dict(zip(pipes, range(len(pipes)), strict=True))
    until: float | None = None
    while open_pipes and (until is None or time.monotonic() < until):
        for pipe in wait(list(open_pipes), None if until is None else max(0.0, until - time.monotonic())):
            assert isinstance(pipe, Connection)
            rank = open_pipes.pop(pipe)
            try:
                told = pipe.recv()
            except (EOFError, ConnectionError):
                told = _Failure(rank, time.time(), None)
            except Exception as error:  # the error cannot be unpickled
                told = _Failure(rank, time.time(), RuntimeError(f"failed; its error cannot be read ({error})"))
            if isinstance(told, _Failure):
                failures.append(told)
                until = until or time.monotonic() + LAST_WORDS_S
            else:
                results[rank] = told[0]
    if not failures:
        return results[0]
    # A member that died without a report is the cause, or else the first that reported: the others only lost their
    # connection.
    first = min(failures, key=lambda failure: (failure.error is not None, failure.at))
    if first.error is None:
        members[first.rank].join(LAST_WORDS_S)
        code = members[first.rank].exitcode
        if asked and code == -signal.SIGTERM:
            raise Interrupted("stopped before its first step; the same command goes on")
        how = f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended with code {code}"
        raise RuntimeError(f"the process of rank {first.rank} {how}")
    raise first.error from RuntimeError(f"on rank {first.rank} of {len(members)}:\n{first.trace}")


@contextlib.contextmanager
def _passed_on(members: list[Any]) -> Iterator[list[int]]:
    """Context in which signals to stop reach the members as SIGTERM and are recorded in the list that is returned.

    A second Ctrl-C raises KeyboardInterrupt, after which the members are killed.

    Yields:
        The numbers of the signals that have come so far.
    """
    asked: list[int] = []

    def forward(signum: int, frame: object) -> None:
        if signum == signal.SIGINT and signum in asked:
            raise KeyboardInterrupt
        asked.append(signum)
        for member in list(members):
            with contextlib.suppress(OSError):
                member.terminate()

    before = {s: signal.signal(s, forward) for s in STOPPING if signal.getsignal(s) != signal.SIG_IGN}
    try:
        yield asked
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


# A member's side -----------------------------------------------------------------------------------------


def _member(
    team: Team,
    port: int,
    environment: dict[str, str],
    pipe: Connection,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    # A terminal sends these to all processes of a job; the launching one passes them on as SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, name="parent", daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)  # the fork server has the environment of the first launch
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # one node; some hosts cannot resolve their own name
    try:
        if torch.cuda.is_available():
            torch.cuda.set_device(team.rank)
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        store = TCPStore(HOST, port, is_master=False)
        dist.init_process_group(backend, store=store, rank=team.rank, world_size=team.size, timeout=PATIENCE)
        pipe.send((work(team, *arguments),))
        dist.destroy_process_group()
    except Exception as error:
        at, trace = time.time(), traceback.format_exc()
        try:
            pipe.send(_Failure(team.rank, at, error, trace))
        except Exception:  # not every error can be pickled
            pipe.send(_Failure(team.rank, at, RuntimeError(f"{type(error).__name__}: {error}"), trace))
        pipe.close()
        os._exit(1)  # the others wait in a collective operation, and only the end of this process makes them fail


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
