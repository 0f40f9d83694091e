"""Paths in the results folder. All paths of the project are made here; rules pass wildcards instead of names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import PurePosixPath

RESULTS = "results"
"""The results folder, in the working directory."""

SHARED = frozenset(
    {
        "backbones",
        "cells",
        "changes",
        "data",
        "logs",
        "measurements",
        "searches",
        "state",
        "tokens",
        "tracking",
        "transfer",
    }
)
"""Folders in the results folder that all studies share; every other folder is that of one study."""

RECORD = "result.json"
PLAN = "plan.json"


@dataclass(frozen=True)
class Layout:
    """Paths as strings relative to the working directory, which is the form that Snakemake expects."""

    root: str = RESULTS

    def _join(self, *parts: str) -> str:
        return "/".join((self.root, *parts))

    def relative(self, path: str) -> str:
        """A path of this layout relative to the results folder, for documents that stay valid when it is moved."""
        return PurePosixPath(path).relative_to(self.root).as_posix()

    # Inputs of cells --------------------------------------------------------------------------------------

    def data(self, data: str) -> str:
        """Manifest of prepared rows, which is written last."""
        return self._join("data", data, "data.json")

    def tokens(self, tokenizer: str, tokens: str) -> str:
        """Manifest of tokenised rows, which is written last."""
        return self._join("tokens", tokenizer, tokens, "tokens.json")

    def backbone(self, backbone: str) -> str:
        """Manifest of a backbone folder, which is written last."""
        return self._join("backbones", backbone, "backbone.json")

    # Cells ------------------------------------------------------------------------------------------------

    def cell(self, cell: str) -> str:
        """Folder of the files that a finished cell publishes (`petscale.cells.published`)."""
        return self._join("cells", cell)

    def result(self, cell: str) -> str:
        """Record of a finished cell, which is written last."""
        return self._join("cells", cell, RECORD)

    def named_cell(self, text: str) -> str:
        """The cell that a user names by its path, its folder or its record, which may be absolute."""
        path = PurePosixPath(os.path.normpath(text))
        if path.name == RECORD:
            path = path.parent
        for folder in (PurePosixPath(self._join("cells")), PurePosixPath(os.path.abspath(self._join("cells")))):
            if path.is_relative_to(folder):
                return path.relative_to(folder).as_posix()
        return path.as_posix()

    def state(self, cell: str) -> str:
        """Lock, heartbeat, checkpoints and attempt logs: no declared output, so that Snakemake never deletes it."""
        return self._join("state", cell)

    def transfer(self, cell: str, target: str) -> str:
        """Scores of a trained cell on the test rows of another task."""
        return self._join("transfer", cell, f"{target}.json")

    def measurement(self, measurement: str) -> str:
        """Record of the speed, memory and energy of a method."""
        return self._join("measurements", f"{measurement}.json")

    # Searches ---------------------------------------------------------------------------------------------

    def probe(self, search: str, number: int | str, seed: int | str) -> str:
        """Record of one seed of one round of a search: its cell, or why the search has ended."""
        return self._join("searches", search, f"round{number}-seed{seed}.json")

    def probe_note(self, search: str, number: int, seed: int) -> str:
        """Names the cell that a probe trains, from before its training: no declared output."""
        return self._join("searches", search, "begun", f"round{number}-seed{seed}.json")

    # Logs and changes -------------------------------------------------------------------------------------

    def log(self, rule: str, name: str) -> str:
        """What the job of a rule wrote to its standard error."""
        return self._join("logs", rule, f"{name}.log")

    def changes(self) -> str:
        """Folder of the differences from the commit with which cells were trained."""
        return self._join("changes")

    def digests(self) -> str:
        """Digests of local inputs, remembered so that large files are read only when they changed."""
        return self._join(".petscale-digests.json")

    # Studies ----------------------------------------------------------------------------------------------

    def study(self, study: str) -> str:
        """Folder of the plan, the tables, the figures and the report of a study."""
        return self._join(study)

    def plan(self, study: str) -> str:
        """The plan of a study, as it was when its results were collected."""
        return self._join(study, PLAN)

    def overrides(self, study: str) -> str:
        """Values that replaced those of the study file in the last run of `snakemake`; absent without any."""
        return self._join(study, "config.json")

    def main_table(self, study: str) -> str:
        """The table of all cells of a study; the other tables are made in the same folder."""
        return self._join(study, "tables", "cells.csv")

    def report(self, study: str) -> str:
        """Path of the HTML report of a study."""
        return self._join(study, "report.html")

    def study_tracked(self, study: str) -> str:
        """Written when the tracking store holds all cells of a study."""
        return self._join(study, "tracked.json")

    # Tracking ---------------------------------------------------------------------------------------------

    def tracked(self, cell: str) -> str:
        """Receipt of a cell that the tracking store holds completely."""
        return self._join("tracking", "cells", f"{cell}.json")

    def tracked_study(self, study: str) -> str:
        """The resolved study, which is sent to the tracking store with the files of its folder."""
        return self._join("tracking", "studies", f"{study}.json")

    def store(self) -> str:
        """The default tracking store, an SQLite database."""
        return self._join("tracking", "mlflow.db")

    def store_artifacts(self) -> str:
        """Folder of the files that the default tracking store keeps."""
        return self._join("tracking", "artifacts")

    def writer_lock(self) -> str:
        """Lock of the one process that may write into the tracking store."""
        return self._join("tracking", "writer.lock")

    def identifier(self) -> str:
        """Identifier of this results folder; it moves with the folder, and stays when `tracking/` is deleted."""
        return self._join(".petscale-root")
