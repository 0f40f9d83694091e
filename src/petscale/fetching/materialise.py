"""Makes the backbone folder that cells read from a local folder, the cache of the hub, or a mini ladder."""

from __future__ import annotations

from pathlib import Path

from petscale.backbones import catalogue
from petscale.backbones.fetched import fetched
from petscale.backbones.folder import MANIFEST, copy_folder, finish_folder, read_manifest
from petscale.errors import BadInput

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
        copy_folder(folder, out_dir, name, {"kind": "local"})
        return
    entry = catalogue.lookup(name)
    if entry.source == "hub":
        source = fetched(entry.name)
        origin = read_manifest(source)["origin"]
        if revision not in ("main", origin["commit"]):
            raise BadInput(f"backbone {name}: {source} is of commit {origin['commit']}, not {revision}; fetch again")
        copy_folder(source, out_dir, entry.name, origin)
        return
    shipped = _LADDERS / entry.name
    if shipped.is_dir() and not rebuild:
        copy_folder(shipped, out_dir, entry.name, {"kind": "mini", "revision": entry.revision})
        return
    from petscale.pretraining.pretrain import build_backbone

    (out_dir / MANIFEST).unlink(missing_ok=True)
    build_backbone(entry.name, out_dir)
    finish_folder(out_dir, entry.name, {"kind": "mini", "revision": entry.revision})
