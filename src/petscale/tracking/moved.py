"""Lets the default store follow its folder: MLflow stores absolute addresses, which are wrong once a project moved."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlparse

_SQLITE = "sqlite:///"


def follow_folder(uri: str, artifacts: Path) -> int:
    """Correct the addresses of artifacts in a store that was moved or copied together with them.

    Only a database that lies beside its folder of artifacts is changed; a store elsewhere may serve several projects. A
    run is changed if its artifacts are in that folder, so runs that keep theirs elsewhere stay as they are. Experiments
    are changed in any case, so that new runs do not write into the folder of another project.

    Args:
        uri: address of the store.
        artifacts: the folder of artifacts, absolute.

    Returns:
        How many addresses were changed.
    """
    database = Path(uri.removeprefix(_SQLITE)).absolute()
    if not uri.startswith(_SQLITE) or database.parent != artifacts.parent or not database.is_file():
        return 0
    changes: list[tuple[str, str, str, str, str]] = []
    with closing(sqlite3.connect(database, timeout=10)) as store:
        folders: dict[int, Path] = {}
        for number, address in store.execute("SELECT experiment_id, artifact_location FROM experiments"):
            old = _path(address)
            # Experiments of petscale have a folder below `artifacts`; MLflow's own, "Default", has not.
            if old is None or old.parent.name != artifacts.name or old.parent.parent.name != artifacts.parent.name:
                continue
            folders[number] = artifacts / old.name
            changes.append(("experiments", "artifact_location", "experiment_id", str(number), folders[number].as_uri()))
        for run, number in store.execute("SELECT run_uuid, experiment_id FROM runs"):
            place = folders.get(number)
            if place is not None and (place / run).is_dir():
                changes.append(("runs", "artifact_uri", "run_uuid", run, (place / run / "artifacts").as_uri()))
        count = 0
        for table, column, key, value, address in changes:
            statement = f"UPDATE {table} SET {column} = ? WHERE {key} = ? AND {column} != ?"
            count += store.execute(statement, (address, value, address)).rowcount
        store.commit()
    return count


def _path(address: str | None) -> Path | None:
    """The local path of an address of artifacts; None if it is none of this machine."""
    parts = urlparse(address or "")
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") and parts.path else None
