"""Checkpoints of a cell: they hold only delta, head and optimizer, are written atomically, and the last two are kept.

A checkpoint is one safetensors file whose header contains the JSON part and the SHA-256 of the tensors' bytes. A
checkpoint that does not verify is renamed with a message in the log, and the one before it is used.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from petscale.artefacts.files import write_atomically

log = logging.getLogger(__name__)

KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """The state from which a cell continues: tensors by name, and plain data (step, best, curve, spool length)."""

    tensors: dict[str, torch.Tensor]
    data: dict[str, Any]


def _seal(tensors: Mapping[str, torch.Tensor], data: str) -> str:
    """SHA-256 over names, types, shapes, bytes and the plain data."""
    sha = hashlib.sha256(data.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        sha.update(tensor.view(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return sha.hexdigest()


def save_checkpoint(folder: Path, step: int, checkpoint: Checkpoint) -> Path:
    """Write `ckpt-<step>.safetensors` by temporary name, fsync and rename; delete all others but the newest."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    data = json.dumps(checkpoint.data, sort_keys=True)
    payload = save(tensors, metadata={"data": data, "sha256": _seal(tensors, data)})
    path = folder / f"ckpt-{step:09d}.safetensors"
    write_atomically(path, payload)
    others = sorted(other for other in folder.glob("ckpt-*.safetensors") if other != path)
    for old in others[: 1 - KEPT]:
        old.unlink(missing_ok=True)
    return path


def load_newest(
    folder: Path, *, digest: str, fits: Callable[[Mapping[str, Any]], bool] = lambda data: True
) -> Checkpoint | None:
    """The newest checkpoint that verifies, belongs to the cell `digest` and `fits`; None to start from step 0.

    Checkpoints that are skipped are renamed, so that they are neither tried again nor counted among those to keep.
    """
    for half in folder.glob(".ckpt-*.tmp"):  # from a trainer that was killed while writing
        half.unlink(missing_ok=True)
    for path in sorted(folder.glob("ckpt-*.safetensors"), reverse=True):
        try:
            checkpoint = _load(path)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            log.warning("%s: not a whole checkpoint (%s); using the one before it", path, error)
            path.rename(path.with_suffix(".corrupt"))
            continue
        if checkpoint.data.get("digest") != digest:
            log.warning("%s: written by another version of this cell; starting afresh", path)
            path.rename(path.with_suffix(".foreign"))
            continue
        if not fits(checkpoint.data):
            log.warning("%s: its metrics are damaged (metrics.jsonl); using the one before it", path)
            path.rename(path.with_suffix(".unfit"))
            continue
        return checkpoint
    return None


def _load(path: Path) -> Checkpoint:
    with safe_open(path, framework="pt") as handle:
        metadata = handle.metadata() or {}
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118  no mapping
    if _seal(tensors, metadata["data"]) != metadata["sha256"]:
        raise ValueError("checksum differs")
    return Checkpoint(tensors, json.loads(metadata["data"]))
