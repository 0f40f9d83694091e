"""Downloads the data sets and backbones of a study into the cache, so that compute nodes need no network.

It first lists what it will download. Downloads can resume, come from pinned commits, and are compared with the SHA-256
that the commit records. Backbones that are published only as pickles are converted once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, Protocol

from petscale.artefacts.cache import cache_folder
from petscale.artefacts.files import file_digest
from petscale.backbones import catalogue
from petscale.backbones.fetched import fetched_folder
from petscale.backbones.folder import MANIFEST, copy_folder, read_manifest
from petscale.errors import BadInput
from petscale.families.registry import family_of
from petscale.tasks import Task

RepoKind = Literal["dataset", "model"]

# The oldest repositories of the hub had no owner in their name; current clients need one.
_OWNERS = {"t5-large": "google-t5", "t5-3b": "google-t5", "t5-11b": "google-t5", "bert-large-uncased": "google-bert"}

_PLAIN = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "spiece.model",
    "vocab.txt",
)
_SAFE = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
_PICKLED = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository; `bytes` is 0 if its size is unknown, `sha256` None if the commit does not record it."""

    path: str
    bytes: int
    sha256: str | None


@dataclass(frozen=True)
class Download:
    """Files of one repository at one commit, for the task or backbone `name`."""

    name: str
    kind: RepoKind
    repo: str
    commit: str
    pinned: bool
    files: tuple[RemoteFile, ...]

    @property
    def bytes(self) -> int:
        """The size of all files together, in bytes."""
        return sum(file.bytes for file in self.files)

    def __str__(self) -> str:
        size = f"{self.bytes / 1e6:,.1f} MB"
        pin = "" if self.pinned else " (main, not pinned)"
        return f"{self.kind} {self.name}: {self.repo}@{self.commit[:8]}{pin}, {len(self.files)} files, {size}"


class Remote(Protocol):
    """The requests to the hub that fetching needs."""

    def list(self, repo: str, kind: RepoKind, revision: str) -> tuple[str, list[RemoteFile]]:
        """The commit of a revision, and its files."""

    def download(self, item: Download, cache: Path) -> Path:
        """Download at least these files and return the commit's folder; continue where an earlier call stopped."""


class HuggingFace:
    """The hub, or another server with the same interface (`HF_ENDPOINT` by default)."""

    def __init__(self, endpoint: str | None = None) -> None:
        self._endpoint = endpoint

    def list(self, repo: str, kind: RepoKind, revision: str) -> tuple[str, list[RemoteFile]]:
        """The commit that a revision stands for, and the files of a repository at it, as the hub tells them."""
        from huggingface_hub import HfApi

        info: Any = HfApi(self._endpoint).repo_info(repo, repo_type=kind, revision=revision, files_metadata=True)
        files = [
            RemoteFile(item.rfilename, item.size or 0, item.lfs.sha256 if item.lfs else None)
            for item in info.siblings or []
        ]
        return str(info.sha), files

    def download(self, item: Download, cache: Path) -> Path:
        """Download the files into the cache, going on with what an earlier call left, and return their folder."""
        from huggingface_hub import snapshot_download

        for file in item.files:
            if file.sha256 is not None:
                self._resume(item, file, cache)
        folder = snapshot_download(
            item.repo,
            repo_type=item.kind,
            revision=item.commit,
            cache_dir=cache,
            allow_patterns=[file.path for file in item.files],
            endpoint=self._endpoint,
        )
        return Path(folder)

    def _resume(self, item: Download, file: RemoteFile, cache: Path) -> None:
        """Continue the download of a large file; `snapshot_download` alone would start again in a new process."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get, repo_folder_name
        from huggingface_hub.utils._headers import build_hf_headers

        blob = cache / repo_folder_name(repo_id=item.repo, repo_type=item.kind) / "blobs" / str(file.sha256)
        if blob.exists():
            return
        blob.parent.mkdir(parents=True, exist_ok=True)
        url = hf_hub_url(item.repo, file.path, repo_type=item.kind, revision=item.commit, endpoint=self._endpoint)
        partial = blob.with_name(f"{blob.name}.partial")
        with open(partial, "ab") as handle:
            http_get(url, handle, resume_size=handle.tell(), headers=build_hf_headers(), expected_size=file.bytes)
        partial.rename(blob)


def _commit_there(name: str, cache: Path) -> str | None:
    """The commit from which an earlier fetch made a backbone."""
    folder = fetched_folder(name, cache)
    return read_manifest(folder)["origin"]["commit"] if (folder / MANIFEST).is_file() else None


def _matching(files: Iterable[RemoteFile], patterns: Iterable[str]) -> tuple[RemoteFile, ...]:
    patterns = tuple(patterns)
    return tuple(file for file in files if any(fnmatch(file.path, pattern) for pattern in patterns))


def _plan_task(task: Task, remote: Remote) -> Download | None:
    if task.hub is None:
        return None
    commit, files = remote.list(task.hub.id, "dataset", task.hub.revision)
    splits = (task.hub.train, task.hub.test, *task.hub.extra.values())
    patterns = [pattern for split in splits for pattern in task.hub.patterns(split)]
    for pattern in patterns:
        if not _matching(files, [pattern]):
            raise BadInput(f"task {task.name}: {task.hub.id}@{commit[:8]} has no file {pattern}")
    return Download(task.name, "dataset", task.hub.id, commit, True, _matching(files, patterns))


def _plan_backbone(name: str, cache: Path, remote: Remote) -> Download | None:
    entry = catalogue.lookup(name)
    if entry.hub_id is None:
        return None
    repo = f"{_OWNERS[entry.hub_id]}/{entry.hub_id}" if entry.hub_id in _OWNERS else entry.hub_id
    pin = None if entry.revision == "main" else entry.revision
    commit, files = remote.list(repo, "model", pin or _commit_there(entry.name, cache) or "main")
    safe = _matching(files, _SAFE)
    weights = safe or _matching(files, _PICKLED)
    if not weights:
        raise BadInput(f"backbone {name}: {repo}@{commit[:8]} has no weights that can be read")
    return Download(
        entry.name,
        "model",
        repo,
        commit,
        pin is not None,
        (*_matching(files, _PLAIN), *weights),
    )


def _get(item: Download, cache: Path, remote: Remote) -> Path:
    """Download files, and compare every size and every recorded checksum.

    Raises:
        BadInput: a file differs from what the commit records; it is deleted, so that the next fetch downloads it again.
    """
    folder = remote.download(item, cache / "hub")
    for file in item.files:
        path = folder / file.path
        wrong = "size" if file.bytes and path.stat().st_size != file.bytes else None
        if wrong is None and file.sha256 is not None and file_digest(path) != file.sha256:
            wrong = "sha256"
        if wrong is not None:
            path.resolve().unlink()
            path.unlink(missing_ok=True)
            raise BadInput(f"{path}: not the file that {item.repo}@{item.commit[:8]} records ({wrong}); fetch again")
    return folder


def _make_backbone(item: Download, snapshot: Path, cache: Path) -> None:
    """Make the checked, converted folder that `materialise` copies."""
    from petscale.backbones.convert import convert

    folder = fetched_folder(item.name, cache)
    names = {file.path for file in item.files}
    pickled = not any(name.endswith(".safetensors") for name in names)
    staging = folder.with_name(f".{folder.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    for path in sorted(names):
        if not (pickled and fnmatch(path, "pytorch_model*")):
            (staging / path).symlink_to((snapshot / path).resolve())
    if pickled:
        convert(snapshot, staging, family_of(catalogue.lookup(item.name).shape))
    origin = {
        "kind": "hub",
        "id": item.repo,
        "commit": item.commit,
        "converted": pickled,
        "sha256": {file.path: file.sha256 for file in item.files if file.sha256},
    }
    copy_folder(staging, folder, item.name, origin)
    shutil.rmtree(staging)


def fetch(
    tasks: Iterable[Task],
    backbones: Iterable[str],
    cache: Path | None = None,
    *,
    dry_run: bool = False,
    remote: Remote | None = None,
    say: Callable[[str], None] = print,
) -> list[Download]:
    """List what is missing of some tasks and backbones, then download it.

    Tasks and backbones that this project generates need nothing. With `dry_run` it only lists.

    Raises:
        BadInput: the hub cannot be reached, lacks a file, or gave a file with a wrong checksum.
    """
    from huggingface_hub import errors

    cache = cache or cache_folder()
    remote = remote or HuggingFace()
    try:
        planned = [
            *(_plan_task(task, remote) for task in tasks),
            *(_plan_backbone(name, cache, remote) for name in backbones),
        ]
        items = [item for item in planned if item is not None]
        for item in items:
            say(str(item))
        say(f"{sum(item.bytes for item in items) / 1e9:,.2f} GB in all, to {cache} (less what is there already)")
        for item in [] if dry_run else items:
            if item.kind == "dataset":
                _get(item, cache, remote)
            elif _commit_there(item.name, cache) != item.commit:
                _make_backbone(item, _get(item, cache, remote), cache)
            say(f"{item.kind} {item.name}: done")
    except (OSError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"fetch: the hub cannot be used ({first})") from None
    return items
