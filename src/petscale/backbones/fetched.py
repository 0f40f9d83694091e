"""The folder of a backbone of the hub after `petscale fetch` has downloaded it."""

from __future__ import annotations

from pathlib import Path

from petscale.artefacts.cache import cache_folder
from petscale.backbones.folder import MANIFEST
from petscale.errors import BadInput


def fetched_folder(name: str, cache: Path) -> Path:
    """The folder of a backbone in a cache, whether it has been fetched or not."""
    return cache / "backbones" / name.replace("/", "--")


def fetched(name: str, cache: Path | None = None) -> Path:
    """The folder of a backbone that `petscale fetch` made.

    Raises:
        BadInput: there is no such folder.
    """
    folder = fetched_folder(name, cache or cache_folder())
    if not (folder / MANIFEST).is_file():
        raise BadInput(f"backbone {name}: not in {folder.parent}; run `petscale fetch STUDY` with network")
    return folder
