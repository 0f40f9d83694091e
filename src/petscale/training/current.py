"""Whether a finished cell is what would be trained now, so that a search may use its result instead of a new run."""

from __future__ import annotations

from pathlib import Path

from petscale.artefacts.canonical import digest
from petscale.artefacts.layout import RECORD
from petscale.backbones.folder import read_manifest
from petscale.cells.record import CellResult, check_files, read_result
from petscale.data.tokens import load_tokens
from petscale.errors import BadInput
from petscale.study.cell import Cell
from petscale.study.stages import cell_code
from petscale.training.provenance import package_versions
from petscale.training.setup import Inputs, identity

NUMERIC = ("torch", "transformers", "tokenizers", "safetensors", "numpy")


def current_result(folder: Path, cell: Cell, inputs: Inputs) -> CellResult | None:
    """The record of a finished cell; None if it is absent, damaged, or would be trained otherwise now.

    The specification, the inputs, the versions of the stages and of the packages have to be today's. Records from
    before `hashes.identity` name no versions; of those the code has to be today's.

    Args:
        folder: the cell's folder below results/cells.
        cell: the cell.
        inputs: its tokens and its backbone.
    """
    if not (folder / RECORD).exists():
        return None
    try:
        record = read_result(folder / RECORD)
        check_files(folder, record)
    except BadInput:
        return None
    backbone = read_manifest(inputs.backbone)
    family = backbone["shape"]["family"]
    hashes = {"tokens": digest(load_tokens(inputs.tokens).manifest, 64), "backbone": digest(backbone, 64)}
    if "identity" in record.hashes:
        same = record.hashes["identity"] == digest(identity(cell, family, hashes), 64)
    else:
        same = record.digest == cell.digest and record.hashes.items() >= hashes.items()
        same = same and record.hashes.get("code") == cell_code(cell.method, family)
    return (
        record if same and _packages(record.provenance.get("packages", {})) == _packages(package_versions()) else None
    )


def _packages(versions: dict[str, str]) -> list[str]:
    """Versions that can change numbers, without labels of builds."""
    return [versions.get(name, "").split("+")[0] for name in NUMERIC]
