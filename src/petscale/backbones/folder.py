"""A backbone as a folder: checks of its files, its digest, and the checked copy that cells read.

`backbone.json`, written last, lists every file with its SHA-256, and the backbone's shape.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from petscale.artefacts.files import file_digest, write_atomically
from petscale.artefacts.seal import sealed, unsealed
from petscale.backbones.reading import CONFIG, INDEX, read_object, read_shape, weight_files
from petscale.errors import BadInput

MANIFEST = "backbone.json"
FORMAT = 1

_TOKENIZER = "tokenizer.json"
_KEPT = (
    CONFIG,
    "generation_config.json",
    _TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "spiece.model",
    "vocab.txt",
    "training.json",
    INDEX,
)
_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
_COPIED_AT_MOST = 100_000_000  # bytes; larger weights are linked


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be loaded safely.

    Raises:
        BadInput: there is no such folder, or it has pickled weights, remote code, or no config or weights; the message
            names the file.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such backbone folder")
    for path in sorted(folder.iterdir()):
        if path.suffix in _PICKLES:
            raise BadInput(
                f"{path}: a pickle can run code when it is read; remove it (`petscale fetch` converts published ones)"
            )
        if path.suffix == ".py":
            raise BadInput(f"{path}: backbones that bring code of their own are refused")
    for name in (CONFIG, "tokenizer_config.json"):
        if (folder / name).is_file() and "auto_map" in read_object(folder / name):
            raise BadInput(f"{folder / name}: key auto_map: remote code is refused")
    if not (folder / CONFIG).is_file():
        raise BadInput(f"{folder}: no {CONFIG}")
    weight_files(folder)


def _contents(folder: Path) -> list[Path]:
    """The files that define the backbone, sorted by name."""
    kept = [folder / name for name in _KEPT if (folder / name).is_file()]
    return sorted([*kept, *weight_files(folder)])


def folder_digest(folder: Path) -> str:
    """SHA-256 of names and contents of the files that define the backbone; for the parameters of a rule.

    Raises:
        BadInput: the folder is refused.
    """
    check_folder(folder)
    lines = "".join(f"{file_digest(path)}  {path.name}\n" for path in _contents(folder))
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


def _add_fast_tokenizer(folder: Path) -> None:
    """Convert `spiece.model` or `vocab.txt` to `tokenizer.json`, which all later steps read.

    Raises:
        BadInput: the folder has none of the three files.
    """
    if (folder / _TOKENIZER).is_file():
        return
    if not any((folder / name).is_file() for name in ("spiece.model", "vocab.txt")):
        raise BadInput(f"{folder}: no tokenizer (tokenizer.json, spiece.model or vocab.txt)")
    from transformers import BertTokenizer, T5Tokenizer

    family = T5Tokenizer if (folder / "spiece.model").is_file() else BertTokenizer
    family.from_pretrained(folder, local_files_only=True).backend_tokenizer.save(str(folder / _TOKENIZER))


def finish_folder(folder: Path, name: str, origin: dict[str, Any]) -> None:
    """Complete a backbone folder: add a fast tokenizer and, as the last file, the manifest.

    Args:
        folder: folder with config, weights and a tokenizer.
        name: name of the backbone in the study.
        origin: where the backbone comes from, in the form that the manifest stores.

    Raises:
        BadInput: the folder has no tokenizer, or its config cannot be used.
    """
    _add_fast_tokenizer(folder)
    files = {path.name: {"sha256": file_digest(path), "bytes": path.stat().st_size} for path in _contents(folder)}
    manifest = {
        "format": FORMAT,
        "name": name,
        "origin": origin,
        "shape": read_shape(folder).to_json(),
        "files": files,
    }
    write_atomically(folder / MANIFEST, json.dumps(sealed(manifest), indent=1, sort_keys=True) + "\n")


def copy_folder(source: Path, out_dir: Path, name: str, origin: dict[str, Any]) -> None:
    """Make a checked copy of a backbone folder, with a fast tokenizer and a manifest.

    Raises:
        BadInput: the source is refused; the message names the file.
    """
    check_folder(source)
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / MANIFEST).unlink(missing_ok=True)
    for path in _contents(source):
        _place(path, out_dir / path.name)
    finish_folder(out_dir, name, origin)
