"""The grid of a study file: its backbones are looked up in the catalogue or read from local folders."""

from __future__ import annotations

import json
import os
from pathlib import Path

from petscale.artefacts.header import tensor_names
from petscale.backbones.catalogue import lookup
from petscale.errors import BadInput
from petscale.families.registry import shape_from_config
from petscale.families.shape import BackboneShape
from petscale.study.config import Study
from petscale.study.grid import Backbone, Grid, build_grid

RANDOM = "-random"


def resolve(study: Study) -> dict[str, Backbone]:
    """Every backbone that the study's grid needs, including randomly initialised controls.

    Raises:
        BadInput: neither the catalogue nor `folders` has a name, or a folder is not a backbone.
    """
    found = {}
    control = study.experiments.control
    for ladder in study.ladders:
        for scale, name in enumerate(ladder.backbones):
            found[name] = _rung(study, name, ladder.name, scale)
            if control is not None and name in (control.backbones or ladder.backbones):
                twin = _rung(study, name + RANDOM, ladder.name, scale, control_of=name)
                found[twin.name] = twin
    return found


def open_grid(study: Study) -> Grid:
    """Build the grid of a study, looking up its backbones."""
    return build_grid(study, resolve(study))


def folder_of(study: Study, name: str) -> Path | None:
    """The local folder of a backbone, with variables expanded; None for catalogue names."""
    if name not in study.folders:
        return None
    return Path(os.path.expandvars(study.folders[name])).expanduser()


def _rung(study: Study, name: str, ladder: str, scale: int, control_of: str | None = None) -> Backbone:
    folder = folder_of(study, name)
    if folder is not None:
        where = f"{study.name}: folders.{name}"
        return Backbone(name, ladder, scale, read_shape(folder, where), "folder", name, control_of)
    try:
        entry = lookup(name)
    except BadInput as error:
        raise BadInput(f"{study.name}: ladders: {error}") from None
    return Backbone(entry.name, ladder, scale, entry.shape, entry.revision, entry.tokenizer, control_of)


def read_shape(folder: Path, where: str) -> BackboneShape:
    """Read the shape of a backbone folder from its config and the header of its weights, without the weights.

    Raises:
        BadInput: a file is missing or unreadable, or no family has this architecture.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
        names = tensor_names(folder / "model.safetensors")
    except OSError as error:
        raise BadInput(f"{where}: {error.filename}: {error.strerror}") from None
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    except ValueError as error:
        raise BadInput(f"{where}: {folder}: not a readable backbone folder ({error})") from None
    return shape_from_config(config, names)
