"""Time limits for a store that is a database without a server in between, so that a frozen one costs only seconds.

mlflow opens a database without a time limit, and tries a dead one ten times with growing pauses, for nearly two
minutes. A limit on the server's side (statement_timeout) does not help if the server is stopped, libpq's
connect_timeout covers only the opening of the connection, and keepalives are answered by the kernel even if the process
is frozen. Therefore the waiting itself is limited on this side, which psycopg2 allows its caller to do.
"""

from __future__ import annotations

import select
from typing import Any

NETWORKED = ("postgresql", "mysql", "mssql")  # SQLite is a file


def knock(uri: str, seconds: float) -> None:
    """Connect to a database once, and raise the driver's error if that fails; nothing is done for servers and files.

    From then on every wait of this process for PostgreSQL is limited: after the limit psycopg2 raises OperationalError
    and closes the connection. For other databases the limits of their drivers apply.

    Args:
        uri: address of the store.
        seconds: how long PostgreSQL may take to answer.
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
