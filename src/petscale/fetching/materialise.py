"""Makes the backbone folder that cells read from a local folder, the cache of the hub, or a mini ladder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from petscale.backbones import catalogue
from petscale.backbones.check import check_backbone
from petscale.backbones.fetched import fetched
from petscale.backbones.folder import MANIFEST, copy_folder, finish_folder, read_manifest
from petscale.errors import BadInput
from petscale.families.registry import family_of

_LADDERS = Path(__file__).resolve().parents[3] / "ladders"  # only in a checkout; an installed package builds them


def materialise(
    name: str, out_dir: Path, *, folder: Path | None = None, revision: str = "main", rebuild: bool = False
) -> None:
    """Make the folder that cells read from a local folder, the mini ladders or the downloads of `petscale fetch`.

    Args:
        name: name of the backbone in the study; a catalogue name unless `folder` is given.
        out_dir: folder for config, tokenizer, weights and, last, `backbone.json`.
        folder: the local folder to copy.
        revision: the revision that the study pins: a commit of the hub, or the version of the mini ladders.
        rebuild: whether to pre-train mini backbones even if the repository ships them.

    Raises:
        BadInput: the backbone is unknown, refused, or not fetched yet.
    """
    if folder is not None:
        _copy(folder, out_dir, name, {"kind": "local"})
        return
    entry = catalogue.lookup(name)
    if entry.source == "hub":
        source = fetched(entry.name)
        origin = read_manifest(source)["origin"]
        if revision not in ("main", origin["commit"]):
            raise BadInput(f"backbone {name}: {source} is of commit {origin['commit']}, not {revision}; fetch again")
        _copy(source, out_dir, entry.name, origin)
        return
    shipped = _LADDERS / entry.name
    if shipped.is_dir() and not rebuild:
        _copy(shipped, out_dir, entry.name, {"kind": "mini", "revision": entry.revision})
        return
    from petscale.pretraining.pretrain import build_backbone

    (out_dir / MANIFEST).unlink(missing_ok=True)
    build_backbone(entry.name, out_dir)
    finish_folder(out_dir, entry.name, {"kind": "mini", "revision": entry.revision})


def _copy(source: Path, out_dir: Path, name: str, origin: dict[str, Any]) -> None:
    """Copy a folder from which a model can be made; nobody knows before that transformers accepts its config."""
    from petscale.backbones.load import check_model

    (out_dir / MANIFEST).unlink(missing_ok=True)
    check_model(source, family_of(check_backbone(source)))
    copy_folder(source, out_dir, name, origin)
