"""The grid of a study file: its backbones are looked up in the catalogue or read from local folders."""

from __future__ import annotations

import os
from pathlib import Path

from petscale.backbones.catalogue import lookup
from petscale.backbones.reading import read_shape
from petscale.errors import BadInput
from petscale.mini.specs import RANDOM
from petscale.study.build import build_grid
from petscale.study.config import Study
from petscale.study.grid import Backbone, Grid


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
        try:
            shape = read_shape(folder)
        except BadInput as error:
            raise BadInput(f"{study.name}: folders.{name}: {error}") from None
        return Backbone(name, ladder, scale, shape, "folder", name, control_of)
    try:
        entry = lookup(name)
    except BadInput as error:
        raise BadInput(f"{study.name}: ladders: {error}") from None
    return Backbone(entry.name, ladder, scale, entry.shape, entry.revision, entry.tokenizer, control_of)
