"""The local inputs of a study: what they contain, and which finished cells were made when they contained other things.

Rows and backbones in folders of the user's may be replaced at any time. Their content is a parameter of the rules that
read them, so that a change reruns what depends on it, whatever the times of the files say.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from petscale import tasks
from petscale.artefacts.canonical import digest
from petscale.artefacts.digests import Digests
from petscale.artefacts.files import file_digest
from petscale.artefacts.layout import Layout
from petscale.artefacts.names import slug
from petscale.artefacts.seal import SEAL
from petscale.backbones.folder import file_digests, folder_digest
from petscale.cells.phase import cell_outcome
from petscale.cells.record import CellResult
from petscale.data.sources import LocalSource, describe, source_digest
from petscale.errors import BadInput
from petscale.study.cell import DataSpec
from petscale.study.config import Study
from petscale.study.grid import Backbone, Grid, PlannedCell
from petscale.workspace.grid import folder_of

_MADE_BY_US = "tokenizer.json"  # made from the other files of a tokenizer where a folder lacks it


class LocalInputs:
    """What the local rows and backbones of a study contain now."""

    def __init__(self, study: Study, layout: Layout, *, read_again: bool = False) -> None:
        """Prepare to read them.

        Args:
            study: the study.
            layout: the results folder, in which the digests of large files are remembered.
            read_again: whether to read each file once more, though its size and times are as before.
        """
        self._study, self._layout = study, layout
        self._digests = Digests(Path(layout.digests()), read_again=read_again)
        # A study has thousands of cells and few inputs.
        self._cause_of_rows = cache(self._change_of_rows)
        self._cause_of_backbone = cache(self._change_of_backbone)
        self._digest_of = cache(_manifest_digest)

    # Rows -------------------------------------------------------------------------------------------------

    def rows_folder(self) -> Path:
        """The folder with the rows of all tasks, with variables expanded; only for studies of local rows."""
        return Path(os.path.expandvars(str(self._study.data.folder))).expanduser()

    def rows_digest(self, spec: DataSpec) -> str | None:
        """Digest of the rows' content; None if they are not local.

        Raises:
            BadInput: a file is missing or cannot be read, or there are two of one split.
        """
        return self._read(spec, source_digest) if spec.source == "local" else None

    def _read(self, spec: DataSpec, read: Any) -> Any:
        folder = self.rows_folder()
        if not (folder / spec.task).is_dir():
            raise BadInput(f"{self._study.name}: data.folder: {folder / spec.task} is no folder")
        flaws = self._study.data.flaws
        try:
            return read(tasks.lookup(spec.task), LocalSource(folder, spec.rows, flaws=flaws), self._digests)
        except OSError as error:
            raise BadInput(f"{error.filename}: {error.strerror}") from None

    # Backbones --------------------------------------------------------------------------------------------

    def backbone_digest(self, backbone: Backbone) -> str | None:
        """Digest of the content of a backbone's folder; None if the backbone is one of the catalogue.

        Raises:
            BadInput: the folder is refused, or a file in it cannot be read.
        """
        folder = folder_of(self._study, backbone.name)
        if folder is None:
            return None
        copy = Path(self._layout.backbone(backbone_folder(backbone))).parent
        if folder.resolve() == copy.resolve():
            raise BadInput(
                f"{self._study.name}: folders.{backbone.name}: {folder} is the place of its checked copy; keep the "
                "backbone outside of results/"
            )
        try:
            return folder_digest(folder, self._digests)
        except OSError as error:
            raise BadInput(f"{error.filename}: {error.strerror}") from None

    # Cells ------------------------------------------------------------------------------------------------

    def change_since(self, planned: PlannedCell, record: CellResult) -> str | None:
        """What changed since a cell was trained, in one line; None if rows, tokens and backbone are still the same.

        Inputs whose prepared copy is gone cannot be compared and count as unchanged.
        """
        data, backbone = planned.cell.data, planned.backbone
        if cause := self._cause_of_rows(data) or self._cause_of_backbone(backbone):
            return cause
        rows = self._digest_of(self._layout.data(data.path), whole=True)
        weights = self._digest_of(self._layout.backbone(backbone_folder(backbone)))
        tokens = self._digest_of(self._layout.tokens(slug(backbone.tokenizer), planned.cell.tokens))
        for name, found in (("data", rows), ("backbone", weights), ("tokens", tokens)):
            recorded = record.hashes.get(name)
            if found is not None and recorded is not None and recorded != found:
                return f"its {_WORDS[name]} were made anew since, with other content"
        return None

    def _change_of_rows(self, spec: DataSpec) -> str | None:
        manifest = _document(self._layout.data(spec.path))
        if spec.source != "local" or manifest is None:
            return None
        made = manifest.get("source", {}).get("files", {})
        try:
            found = self._read(spec, describe)["files"]
        except BadInput as error:
            return f"its rows are no longer there: {error}"
        return _difference("rows", self.rows_folder() / spec.task, made, found)

    def _change_of_backbone(self, backbone: Backbone) -> str | None:
        folder = folder_of(self._study, backbone.name)
        manifest = _document(self._layout.backbone(backbone_folder(backbone)))
        if folder is None or manifest is None:
            return None
        made = {name: entry.get("sha256") for name, entry in manifest.get("files", {}).items()}
        try:
            found = file_digests(folder, self._digests)
        except (BadInput, OSError) as error:
            return f"its backbone is no longer there: {error}"
        if _MADE_BY_US not in found:
            made.pop(_MADE_BY_US, None)
        return _difference("backbone", folder, made, found)


def changed_since(grid: Grid, layout: Layout) -> dict[str, str]:
    """Finished cells whose inputs changed since they were trained: path -> what changed, in one line."""
    inputs, found = LocalInputs(grid.study, layout), {}
    for path, planned in grid.cells.items():
        outcome = cell_outcome(layout, path)
        cause = outcome.record and inputs.change_since(planned, outcome.record)
        if cause:
            found[path] = cause
    return found


_WORDS = {"data": "prepared rows", "backbone": "backbone's files", "tokens": "tokens"}


def backbone_folder(backbone: Backbone) -> str:
    """The name of a backbone's folder below results/backbones."""
    return f"{slug(backbone.name)}-{backbone.weights[:12]}"


def _difference(what: str, folder: Path, made: dict[str, str], found: dict[str, str]) -> str | None:
    for name in sorted({*made, *found}):
        if made.get(name) != found.get(name):
            how = "is gone" if name not in found else "is new" if name not in made else "has other content"
            return f"its {what} changed: {folder / name} {how} since the cell was trained"
    return None


def _document(path: str) -> dict[str, Any] | None:
    """A manifest; None if it cannot be read, since its rule then makes it anew."""
    try:
        document = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _manifest_digest(path: str, whole: bool = False) -> str | None:
    """The digest by which records of cells name a manifest: of the whole file, or of its content without the seal."""
    document = _document(path)
    if document is None:
        return None
    return file_digest(Path(path)) if whole else digest({k: v for k, v in document.items() if k != SEAL}, 64)
