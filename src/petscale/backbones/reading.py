"""Reads what a backbone folder says of itself: its weight files and its shape. No weights are loaded.

Everybody who needs the shape of a folder asks here: `petscale count`, the planning of studies and the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from petscale.artefacts.header import StoredTensor, read_header, same_content
from petscale.artefacts.kinds import foreign
from petscale.errors import BadInput
from petscale.families.family import Family
from petscale.families.registry import family_of_config
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
    try:
        family = family_of_config(config)
    except BadInput as error:
        raise BadInput(f"{folder / CONFIG}: {error}") from None
    names = _model_names(folder, family, weights)
    try:
        return family.read_shape(config, names)
    except BadInput as error:
        raise BadInput(f"{folder / CONFIG}: {error}") from None


def model_tensors(folder: Path, family: Family) -> dict[str, StoredTensor]:
    """The stored tensors that a model of the family uses, by their name in the model, without copies.

    This is the only place that decides which stored tensor becomes which tensor of the model: the shape, the check of a
    folder and the loader all ask here.

    Raises:
        BadInput: a file cannot be read, or two tensors would become one.
    """
    stored: dict[str, StoredTensor] = {}
    for path in weight_files(folder):
        for name, tensor in read_header(path).items():
            if name in stored:
                raise BadInput(f"{path}: tensor {name}: {stored[name].file.name} has it too")
            stored[name] = tensor
    try:
        copies = family.copies(stored, lambda one, other: same_content(stored[one], stored[other]))
    except BadInput as error:
        raise BadInput(f"{folder}: {error}") from None
    found: dict[str, StoredTensor] = {}
    for name, current in family.names(stored.keys() - copies).items():
        if current in found:
            raise BadInput(f"{folder}: tensors {found[current].name} and {name} are both {current}")
        found[current] = stored[name]
    return found


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
        data = path.read_bytes()
        if kind := foreign(data):
            raise BadInput(f"{path}: {kind}")
        document = json.loads(data)  # also with a byte-order mark
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not readable JSON ({error})") from None
    if not isinstance(document, dict):
        raise BadInput(f"{path}: not a JSON object")
    return document


def _model_names(folder: Path, family: Family, weights: bool) -> frozenset[str] | None:
    """Names in the model of the stored tensors. None if there are no weights and none are needed."""
    if weights or (folder / WEIGHTS).is_file():
        return frozenset(model_tensors(folder, family))
    index = folder / INDEX
    if not index.is_file():
        return None
    stored = _weight_map(index).keys()
    return frozenset(family.names(stored - family.copies(stored, None)).values())


def _weight_map(index: Path) -> Mapping[str, str]:
    """Tensor name -> name of the file that holds it."""
    found = read_object(index).get("weight_map")
    if not isinstance(found, dict) or not found or not all(isinstance(name, str) for name in found.values()):
        raise BadInput(f"{index}: key weight_map: expected an object, each tensor to the name of its file")
    return found
