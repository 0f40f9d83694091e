"""A database as the store, without a server between: make a frozen one cost seconds.

mlflow opens a database with no time limit, and asks a dead one ten times with growing pauses, nearly two minutes. A
limit on the server's side (statement_timeout) does not help against a server that is stopped, libpq's connect_timeout
ends with the connection's opening, and keepalives are answered by the kernel of a frozen process. So the wait itself
is limited, on this side: psycopg2 lets its caller do it.
"""

from __future__ import annotations

import select
from typing import Any

NETWORKED = ("postgresql", "mysql", "mssql")  # SQLite is a file


def knock(uri: str, seconds: float) -> None:
    """Connect to a database once, and raise what its driver says where that fails. Servers and files are left alone.

    From then on every wait of this process for PostgreSQL has an end: past it psycopg2 raises OperationalError and
    drops the connection. Other databases are left to their drivers.

    Args:
        uri: address of the store.
        seconds: how long PostgreSQL may be silent.
    """
    scheme = uri.split("://")[0]
    if scheme.split("+")[0] not in NETWORKED:
        return
    if scheme in ("postgresql", "postgresql+psycopg2"):
        _limit_waiting(seconds)
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    create_engine(uri, poolclass=NullPool).connect().close()


def _limit_waiting(seconds: float) -> None:
    from psycopg2 import OperationalError  # type: ignore[import-untyped]
    from psycopg2.extensions import POLL_OK, POLL_READ, set_wait_callback  # type: ignore[import-untyped]

    def wait(connection: Any) -> None:
        while (state := connection.poll()) != POLL_OK:
            descriptor = [connection.fileno()]
            reading, writing = (descriptor, []) if state == POLL_READ else ([], descriptor)
            if not any(select.select(reading, writing, [], seconds)):
                raise OperationalError(f"PostgreSQL did not answer for {seconds:g} s")

    set_wait_callback(wait)
