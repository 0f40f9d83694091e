"""Reads what a backbone folder says of itself: its weight files and its shape. No weights are loaded.

Everybody who needs the shape of a folder asks here: `petscale count`, the planning of studies and the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from petscale.artefacts.header import tensor_names
from petscale.errors import BadInput
from petscale.families.registry import shape_from_config
from petscale.families.shape import BackboneShape

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def read_shape(folder: Path, *, weights: bool = True) -> BackboneShape:
    """The shape of a backbone, from the config and the headers of the weights in its folder.

    Args:
        folder: config, and weights in one file or in several with an index.
        weights: whether the weights must be there. A count needs no more than the config; it then believes the index,
            if there is one, and else the config alone.

    Raises:
        BadInput: a file is missing or cannot be read, or the config cannot be used; the message names the file.
    """
    config = read_object(folder / CONFIG)
    names = _tensor_names(folder, weights)
    try:
        return shape_from_config(config, names)
    except BadInput as error:
        raise BadInput(f"{folder / CONFIG}: {error}") from None


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of the weights: one file, or those that the index names.

    Raises:
        BadInput: there is none, or a file that the index names is missing.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / INDEX
    if not index.is_file():
        raise BadInput(f"{folder}: no {WEIGHTS} and no {INDEX}; weights are read from safetensors alone")
    names = sorted(set(_weight_map(index).values()))
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise BadInput(f"{index}: names {name}, which is not there")
    return [folder / name for name in names]


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        BadInput: the file is missing, is no JSON or holds something else; the message names the file.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not readable JSON ({error})") from None
    if not isinstance(document, dict):
        raise BadInput(f"{path}: not a JSON object")
    return document


def _tensor_names(folder: Path, weights: bool) -> frozenset[str] | None:
    """Names of the stored tensors. None if there are no weights and none are needed."""
    if weights or (folder / WEIGHTS).is_file():
        return frozenset[str]().union(*map(tensor_names, weight_files(folder)))
    index = folder / INDEX
    return frozenset(_weight_map(index)) if index.is_file() else None


def _weight_map(index: Path) -> Mapping[str, str]:
    """Tensor name -> name of the file that holds it."""
    found = read_object(index).get("weight_map")
    if not isinstance(found, dict) or not found or not all(isinstance(name, str) for name in found.values()):
        raise BadInput(f"{index}: key weight_map: expected an object, each tensor to the name of its file")
    return found
