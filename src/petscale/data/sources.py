"""The three sources of rows, with one interface: the hub at a pinned commit, a local folder, the mini language."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from petscale.artefacts.files import file_digest
from petscale.data import files
from petscale.data.checks import Flaws, check_apart, check_split, tell_swapped
from petscale.data.rows import Rows
from petscale.errors import BadInput
from petscale.tasks import Task

SourceKind = Literal["hub", "local", "mini"]


@dataclass(frozen=True)
class HubSource:
    """Published data sets, read from the cache; their known flaws are dropped."""

    cache: Path | None = None
    kind: SourceKind = "hub"
    flaws: Flaws = "drop"


@dataclass(frozen=True)
class LocalSource:
    """Files `<folder>/<task>/{train,validation,test}.{jsonl,parquet,tsv,csv}` with the hub's columns and labels.

    With `flaws="drop"`, flawed rows are dropped as for the hub, which suits an export of a published data set.
    """

    folder: Path
    name: str
    kind: SourceKind = "local"
    flaws: Flaws = "refuse"


@dataclass(frozen=True)
class MiniSource:
    """Rows of the generated language."""

    kind: SourceKind = "mini"
    flaws: Flaws = "refuse"


Source = HubSource | LocalSource | MiniSource


def make_source(
    task: Task,
    kind: SourceKind,
    *,
    folder: Path | None = None,
    name: str | None = None,
    cache: Path | None = None,
    flaws: Flaws = "refuse",
) -> Source:
    """The source of one task in a study; mini tasks always come from the generated language.

    `flaws` applies to local rows; for the other sources it is fixed.

    Raises:
        BadInput: the task has no such source.
    """
    if task.source == "mini":
        return MiniSource()
    if kind == "mini":
        raise BadInput(f"task {task.name}: no task of the mini language; use source hub or local")
    if kind == "local":
        if folder is None or name is None:
            raise BadInput("data: source local needs both `folder` and `name`")
        return LocalSource(folder, name, flaws=flaws)
    return HubSource(cache)


def _local_files(task: Task, source: LocalSource) -> dict[str, Path]:
    """The file of each split; the validation file is used if the test file is missing, and the reverse."""
    folder = source.folder / task.name
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder (source {source.name}, task {task.name})")
    wanted = ("test", "validation") if task.hub and task.hub.test == "test" else ("validation", "test")
    paths: dict[str, Path] = {}
    for split, names in {"train": ("train",), "test": wanted}.items():
        path = next(filter(None, (files.find(folder, name) for name in names)), None)
        if path is None:
            wanted_names = f"{' or '.join(names)}.{{{','.join(files.READERS)}}}"
            raise BadInput(f"{folder}: no file {wanted_names}{files.lookalikes(folder, names)}")
        paths[split] = path
    for extra, name in (task.hub.extra if task.hub else {}).items():
        if path := files.find(folder, name):
            paths[extra] = path
    return paths


def _read(task: Task, source: Source) -> dict[str, Rows]:
    if isinstance(source, LocalSource):
        return {split: files.read(path, task) for split, path in _local_files(task, source).items()}
    if isinstance(source, MiniSource):
        from petscale.mini.language import SPLITS
        from petscale.mini.tasks import rows

        drawn = {split: rows(task.name, split) for split in SPLITS}
        return {
            split: Rows(f"mini {task.name} {split}", found, list(range(1, len(found) + 1)))
            for split, found in drawn.items()
        }
    from petscale.data.hub import read_split, snapshot

    if task.hub is None:
        raise BadInput(f"task {task.name}: not on the hub")
    names = {"train": task.hub.train, "test": task.hub.test, **task.hub.extra}
    folder = snapshot(task.hub, tuple(names.values()), source.cache)
    return {split: read_split(task, task.hub, name, folder) for split, name in names.items()}


def read_rows(task: Task, source: Source) -> dict[str, Rows]:
    """Checked rows by split: `train`, `test`, the task's further test sets, and `dev` if the source has its own.

    Raises:
        BadInput: something is wrong with the rows; the message names file and row.
    """
    splits = {name: check_split(task, rows, flaws=source.flaws) for name, rows in _read(task, source).items()}
    evaluation = {name: rows for name, rows in splits.items() if name != "train"}
    splits["train"] = check_apart(task, splits["train"], evaluation, flaws=source.flaws)
    tell_swapped(task, splits["train"], evaluation)
    return splits


def describe(task: Task, source: Source, digest_of: Callable[[Path], str] = file_digest) -> dict[str, object]:
    """The data that identify the rows: commit, digests of files, or version, but no path of this machine.

    Args:
        task: the task whose rows are described.
        source: where its rows come from.
        digest_of: gives the SHA-256 of a file; one that remembers digests need not read large files again.

    Raises:
        BadInput: there are no local files, or two of one split.
    """
    if isinstance(source, LocalSource):
        digests = {path.name: digest_of(path) for path in _local_files(task, source).values()}
        described: dict[str, object] = {"kind": "local", "name": source.name, "files": digests}
        # The default is left out, so that rows that were prepared before this option existed keep their identity.
        return described if source.flaws == "refuse" else {**described, "flaws": source.flaws}
    if isinstance(source, MiniSource):
        from petscale.mini.tasks import VERSIONS

        return {"kind": "mini", "version": VERSIONS[task.name]}
    if task.hub is None:
        raise BadInput(f"task {task.name}: not on the hub")
    return {"kind": "hub", **task.hub.model_dump(exclude={"rows"})}


def source_digest(task: Task, source: Source, digest_of: Callable[[Path], str] = file_digest) -> str:
    """SHA-256 of the data that identify the rows, for a rule's parameters; arguments and errors as for `describe`."""
    return hashlib.sha256(json.dumps(describe(task, source, digest_of), sort_keys=True).encode()).hexdigest()
