"""A backbone as a folder: its digest, and the checked copy that cells read.

`backbone.json`, written last, lists every file with its SHA-256, and the backbone's shape.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from petscale.artefacts.files import file_digest, write_atomically
from petscale.artefacts.seal import sealed, unsealed
from petscale.backbones.check import check_backbone, check_folder
from petscale.backbones.reading import CONFIG, INDEX, read_object, weight_files
from petscale.backbones.tokenizer import TOKENIZER, read_tokenizer
from petscale.errors import BadInput

MANIFEST = "backbone.json"
FORMAT = 1

_KEPT = (
    CONFIG,
    "generation_config.json",
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "spiece.model",
    "vocab.txt",
    "training.json",
    INDEX,
)
_COPIED_AT_MOST = 100_000_000  # bytes; larger weights are linked


def _contents(folder: Path) -> list[Path]:
    """The files that define the backbone, sorted by name."""
    kept = [folder / name for name in _KEPT if (folder / name).is_file()]
    return sorted([*kept, *weight_files(folder)])


def file_digests(folder: Path, digest_of: Callable[[Path], str] = file_digest) -> dict[str, str]:
    """The files that define the backbone: name -> SHA-256.

    Args:
        folder: folder of a backbone.
        digest_of: gives the SHA-256 of a file; one that remembers digests need not read large files again.

    Raises:
        BadInput: the folder is refused.
    """
    check_folder(folder)
    return {path.name: digest_of(path) for path in _contents(folder)}


def folder_digest(folder: Path, digest_of: Callable[[Path], str] = file_digest) -> str:
    """SHA-256 of names and contents of the files that define the backbone; for the parameters of a rule.

    Arguments and errors are those of `file_digests`.
    """
    lines = "".join(f"{digest}  {name}\n" for name, digest in file_digests(folder, digest_of).items())
    return hashlib.sha256(lines.encode()).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a backbone folder.

    Raises:
        BadInput: there is none or it has another format, or a file is missing or has another size than it says.
    """
    path = folder / MANIFEST
    manifest = unsealed(read_object(path), path)
    if manifest.get("format") != FORMAT:
        raise BadInput(f"{path}: key format: {manifest.get('format')!r}, not {FORMAT}")
    for name, entry in manifest["files"].items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != entry["bytes"]:
            raise BadInput(f"{file}: missing, or not of the size that {MANIFEST} says")
    return manifest


def verify(folder: Path) -> None:
    """Read every file again and compare it with the manifest.

    Raises:
        BadInput: a file differs.
    """
    for name, entry in read_manifest(folder)["files"].items():
        if file_digest(folder / name) != entry["sha256"]:
            raise BadInput(f"{folder / name}: not the file that {MANIFEST} describes (sha256)")


def _place(source: Path, target: Path) -> None:
    """Copy a file, or link it if a copy would take much disk space."""
    target.unlink(missing_ok=True)
    if source.stat().st_size <= _COPIED_AT_MOST:
        shutil.copyfile(source, target)
        return
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system
        target.symlink_to(source.resolve())


def finish_folder(folder: Path, name: str, origin: dict[str, Any]) -> None:
    """Complete a backbone folder: add a fast tokenizer and, as the last file, the manifest.

    Args:
        folder: folder with config, weights and a tokenizer.
        name: name of the backbone in the study.
        origin: where the backbone comes from, in the form that the manifest stores.

    Raises:
        BadInput: the folder is refused (`petscale.backbones.check`).
    """
    shape = check_backbone(folder)
    if not (folder / TOKENIZER).is_file():
        read_tokenizer(folder).save(str(folder / TOKENIZER))
    files = {path.name: {"sha256": file_digest(path), "bytes": path.stat().st_size} for path in _contents(folder)}
    manifest = {
        "format": FORMAT,
        "name": name,
        "origin": origin,
        "shape": shape.to_json(),
        "files": files,
    }
    write_atomically(folder / MANIFEST, json.dumps(sealed(manifest), indent=1, sort_keys=True) + "\n")


def copy_folder(source: Path, out_dir: Path, name: str, origin: dict[str, Any]) -> None:
    """Make a checked copy of a backbone folder, with a fast tokenizer and a manifest.

    Raises:
        BadInput: the source is refused (`petscale.backbones.check`); the message names the file.
    """
    (out_dir / MANIFEST).unlink(missing_ok=True)
    check_backbone(source)
    out_dir.mkdir(parents=True, exist_ok=True)
    for path in _contents(source):
        _place(path, out_dir / path.name)
    finish_folder(out_dir, name, origin)
