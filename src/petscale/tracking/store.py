"""The interface to an MLflow store. Only this file imports mlflow, and only when a store is opened.

A dead, slow or refusing server must cost seconds, never minutes, and give an error of one line. mlflow's defaults would
retry each call for four minutes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from petscale.artefacts.files import file_digest
from petscale.errors import Exit, PetscaleError
from petscale.tracking.address import hushed, masked
from petscale.tracking.database import knock
from petscale.tracking.moved import follow_folder
from petscale.tracking.points import Point
from petscale.tracking.trace import Subject

# mlflow reads these variables when it is imported. Values that the user has set are kept.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "60",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # mlflow would print the address with its password for each run
    "GIT_PYTHON_REFRESH": "quiet",
}
# Limits of one request (mlflow/utils/validation.py).
METRICS_A_BATCH = 1_000
PARAMS_A_BATCH = 100
LONGEST_PARAM = 6_000
LONGEST_TAG = 5_000


class StoreUnavailable(PetscaleError):
    """The store cannot be reached or refuses. Nothing is lost: the same command later sends what is missing."""

    exit_code = Exit.INTERRUPTED


class StoreRefused(StoreUnavailable):
    """The store answers, but does not keep one run as it was sent. Other runs may still be accepted."""


class Store:
    """One MLflow store."""

    def __init__(self, uri: str, artifacts: Path) -> None:
        """Open a store; its tables or its file are created if missing.

        Args:
            uri: `sqlite:///...`, another database, or a server.
            artifacts: folder of artifacts; a server uses its own folder instead.

        Raises:
            StoreUnavailable: nothing answers at this address, or something that is no tracking store.
        """
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        self.uri = uri
        self._artifacts = None if uri.startswith(("http://", "https://")) else artifacts.absolute()
        if uri.startswith("sqlite:///"):
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        self._experiments: dict[str, Any] = {}
        with self._telling():
            knock(uri, float(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]))
            from mlflow import MlflowClient

            # This comes after the import, which sets the levels. Errors that these libraries log are also raised.
            for name in ("alembic", "mlflow"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
            self._client = MlflowClient(uri)
        self.ask()
        if self._artifacts is not None:
            with self._telling():
                follow_folder(uri, self._artifacts)

    @property
    def is_file(self) -> bool:
        """Whether the store is one SQLite file, so that hardly anyone else writes to it."""
        return self.uri.startswith("sqlite:")

    def ask(self) -> None:
        """Send a minimal request, to distinguish a store that is down from one that refuses a certain run.

        Raises:
            StoreUnavailable: the store is down.
        """
        with self._telling():
            self._client.search_experiments(max_results=1)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn every error that mlflow raises (its own, requests' and SQLAlchemy's) into an error of one line."""
        try:
            yield
        except (PetscaleError, FileNotFoundError):
            raise  # a file of the cell vanished, which is not the store's fault
        except Exception as error:
            line = hushed(" ".join(str(error).split()), self.uri)[:300]
            raise StoreUnavailable(
                f"{masked(self.uri)}: {type(error).__name__}: {line}; nothing is lost, `petscale track` sends the rest"
            ) from None

    # Runs -------------------------------------------------------------------------------------------------

    def experiment(self, name: str) -> Any:
        """The experiment (MLflow's word for a table of runs) of that name, created or restored if necessary."""
        if name not in self._experiments:
            with self._telling():
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    place = self._artifacts and (self._artifacts / name.replace(" ", "-")).as_uri()
                    self._client.create_experiment(name, artifact_location=place)
                    found = self._client.get_experiment_by_name(name)
                elif found.lifecycle_stage != "active":
                    self._client.restore_experiment(found.experiment_id)
            self._experiments[name] = found
        return self._experiments[name]

    def identity(self, name: str) -> str:
        """A text that changes when the store at this address is deleted and created again, so that receipts expire."""
        found = self.experiment(name)
        return f"{masked(self.uri)} {found.experiment_id} {found.creation_time}"

    def runs(self, subject: Subject) -> list[Any]:
        """The active runs of a subject, oldest first, from all folders of results."""
        value = subject.value.replace("'", "")
        with self._telling():
            return list(
                self._client.search_runs(
                    [self.experiment(subject.experiment).experiment_id],
                    filter_string=f"tags.`{subject.tag}` = '{value}'",
                    order_by=["attributes.start_time ASC"],
                )
            )

    def create(self, subject: Subject, marks: Mapping[str, str], name: str, started_ms: int) -> Any:
        """Create a run in state running. `marks` are tags that it has from the start."""
        with self._telling():
            return self._client.create_run(
                self.experiment(subject.experiment).experiment_id,
                start_time=started_ms,
                tags={subject.tag: subject.value, **marks},
                run_name=name,
            )

    def delete(self, run_id: str) -> None:
        """Delete a run: the UI then hides it, and `mlflow gc` removes it for good."""
        with self._telling():
            self._client.delete_run(run_id)

    def end(self, run_id: str, status: str, ended_ms: int | None) -> None:
        """Set a run's final status."""
        with self._telling():
            self._client.set_terminated(run_id, status, ended_ms)

    def resume(self, run_id: str) -> None:
        """Mark a run as running (again)."""
        with self._telling():
            self._client.update_run(run_id, status="RUNNING")

    # Content ----------------------------------------------------------------------------------------------

    def log(self, run_id: str, points: Iterable[Point], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Add metrics, parameters and tags; those that exist already are not added twice."""
        with self._telling():
            from mlflow.entities import Metric, Param, RunTag

            metrics = [Metric(p.key, p.number, p.ts, p.step) for p in sorted(points, key=lambda p: (p.ts, p.step))]
            pairs = [Param(name, value[:LONGEST_PARAM]) for name, value in params.items()]
            labels = [RunTag(name, value[:LONGEST_TAG]) for name, value in tags.items()]
            for start in range(0, max(len(pairs), len(labels)), PARAMS_A_BATCH):
                part = slice(start, start + PARAMS_A_BATCH)
                self._client.log_batch(run_id, params=pairs[part], tags=labels[part])
            for start in range(0, len(metrics), METRICS_A_BATCH):
                self._client.log_batch(run_id, metrics=metrics[start : start + METRICS_A_BATCH])

    def delete_tag(self, run_id: str, name: str) -> None:
        """Remove a tag from a run.

        Raises:
            StoreUnavailable: the store does not answer, or refuses.
        """
        with self._telling():
            self._client.delete_tag(run_id, name)

    def points(self, run_id: str) -> set[Point]:
        """All points that the store holds for a run, read back key by key."""
        found: set[Point] = set()
        with self._telling():
            for key in self._client.get_run(run_id).data.metrics:
                history = self._client.get_metric_history(run_id, key)
                found |= {Point.of(m.key, m.timestamp, m.step, m.value) for m in history}
        return found

    def artifacts(self, run_id: str) -> dict[str, int]:
        """Artifacts of a run: path and size in bytes."""
        found: dict[str, int] = {}
        folders = [""]
        with self._telling():
            while folders:
                for entry in self._client.list_artifacts(run_id, folders.pop() or None):
                    if entry.is_dir:
                        folders.append(entry.path)
                    else:
                        found[entry.path] = int(entry.file_size or 0)
        return found

    def sha256(self, run: Any, path: str) -> str:
        """Digest of an artifact's content in the store; artifacts that are not on this machine are downloaded."""
        with self._telling(), tempfile.TemporaryDirectory(prefix="petscale-") as folder:
            file = self._on_disk(run, path)
            if file is None:
                file = Path(self._client.download_artifacts(run.info.run_id, path, folder))
            return file_digest(file)

    def put(self, run: Any, path: str, file: Path, *, link: bool = False) -> None:
        """Store a file as the artifact `path`; with `link`, as a hard link if store and file are on the same disk."""
        with self._telling():
            target = self._on_disk(run, path)
            if target is None:
                self._client.log_artifact(run.info.run_id, str(file), str(Path(path).parent) if "/" in path else None)
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.tmp")
            temporary.unlink(missing_ok=True)
            if not (link and _linked(file, temporary)):
                shutil.copyfile(file, temporary)
            temporary.replace(target)
            temporary.unlink(missing_ok=True)  # renaming a hard link onto another link of the same file does nothing

    def _on_disk(self, run: Any, path: str) -> Path | None:
        """The path of an artifact if the store keeps artifacts in a folder of this machine."""
        place = urlparse(run.info.artifact_uri)
        if self._artifacts is None or place.scheme not in ("", "file"):
            return None
        return Path(unquote(place.path)) / path


def _linked(file: Path, target: Path) -> bool:
    """Try to make a hard link; False if the file system refuses (another disk, a quota, no support for links)."""
    try:
        os.link(file, target)
    except OSError:
        return False
    return True
