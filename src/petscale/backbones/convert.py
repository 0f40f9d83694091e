"""Converts pickled weights to safetensors, once, if a backbone is published only as a pickle."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import torch

from petscale.errors import BadInput
from petscale.families.family import Family

_SHARD = "5GB"


def pickle_files(folder: Path) -> list[Path]:
    """The file `pytorch_model.bin`, or the shards that its index names.

    Raises:
        BadInput: the index cannot be read, or names a file that is not in the folder.
    """
    index = folder / "pytorch_model.bin.index.json"
    if not index.is_file():
        return [folder / "pytorch_model.bin"]
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{index}: not a readable index ({error})") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise BadInput(f"{index}: names {name!r}, which is no file of this folder")
    return [folder / name for name in names]


def convert(folder: Path, out_dir: Path, family: Family) -> None:
    """Write the tensors of a folder's pickle as safetensors into `out_dir`, in shards of 5 GB.

    Pickles are read with `weights_only`, so no code in them is run; the caller has checked their checksum. Tensors keep
    their precision. They are mapped, not loaded, unless the file is older than torch 1.6. Copies of other tensors are
    left out (`Family.copies`).

    Raises:
        BadInput: a pickle is damaged or contains anything but named tensors, or two tensors differ that must be equal.
    """
    from huggingface_hub import save_torch_state_dict

    state: dict[str, torch.Tensor] = {}
    for path in pickle_files(folder):
        try:
            # Files written before torch 1.6 are no zip archives; torch can only load them, not map them.
            mapped = zipfile.is_zipfile(path)
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        except Exception as error:
            # torch raises UnpicklingError, RuntimeError and others; all of them mean that the file is damaged or wrong.
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise BadInput(f"{path}: not plain tensors ({first})") from None
        if not isinstance(loaded, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in loaded.values()):
            raise BadInput(f"{path}: holds more than named tensors")
        state |= loaded
    try:
        copies = family.copies(state, lambda one, other: state[one].equal(state[other]))
    except BadInput as error:
        raise BadInput(f"{folder}: {error}") from None
    state = {name: tensor for name, tensor in state.items() if name not in copies}
    save_torch_state_dict(state, out_dir, max_shard_size=_SHARD, metadata={"format": "pt"})
