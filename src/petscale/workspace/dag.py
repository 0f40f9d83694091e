"""The answers to the Snakefile: targets, inputs, parameters and resources, each by a dictionary look-up.

Snakemake parses the Snakefile again in every job, so nothing heavy is imported and nothing is computed twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from petscale.artefacts.canonical import canonical
from petscale.artefacts.layout import Layout
from petscale.artefacts.names import slug
from petscale.errors import BadInput
from petscale.study.cell import DataSpec
from petscale.study.estimate import Cost
from petscale.study.grid import Backbone, Grid, PlannedCell, PlannedMeasurement, PlannedTransfer
from petscale.study.stages import cell_code, code_digest, version
from petscale.tuning.registry import METHODS
from petscale.workspace.grid import folder_of, open_grid
from petscale.workspace.image import Image
from petscale.workspace.inputs import LocalInputs, backbone_folder
from petscale.workspace.plan import cost_of, cost_of_measurement, cost_of_transfer
from petscale.workspace.searches import broken_probes, chosen_cell, probes
from petscale.workspace.study_file import parse_study

K = TypeVar("K")
V = TypeVar("V")

# Packages whose version can change a cell's numbers; other packages (tracking, plotting) retrain nothing.
NUMERIC_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "accelerate")


class Dag:
    """The look-ups of one study."""

    def __init__(self, grid: Grid, layout: Layout, lock: Path) -> None:
        self.grid, self.layout, self._lock = grid, layout, lock
        self.study = grid.study
        self.local = LocalInputs(grid.study, layout)
        self._image: Image | None = None
        self._costs: dict[str, Cost] = {}

    def run_in(self, image: Image) -> None:
        """Let jobs run in an image, whose package versions then replace those of the lock file."""
        self._image = image

    @cached_property
    def environment(self) -> str:
        """Digest of the versions that can change numbers: those of the image, or those of the lock file."""
        return numeric_digest(locked(self._lock) if self._image is None else self._image.packages)

    @property
    def folders(self) -> list[Path]:
        """Local folders that jobs read in addition to the results: rows and backbones."""
        rows = [str(self.study.data.folder)] if self.study.data.source == "local" else []
        return [Path(os.path.expandvars(text)).expanduser() for text in (*rows, *self.study.folders.values())]

    @classmethod
    def from_config(cls, config: Mapping[str, Any], where: str, root: Path) -> Dag:
        """The look-ups for a configuration that Snakemake merged; `root` is the project's folder."""
        return cls(open_grid(parse_study(config, where)), Layout(), root / "envs" / "requirements.lock")

    def check_inputs(self) -> None:
        """Look at all local inputs, so that one that cannot be used gives one line now, not an error inside Snakemake.

        Raises:
            BadInput: local rows or a backbone's folder are missing or refused; the message names the place.
        """
        for data in self.data:
            self.data_identity(data)
        for folder in self.backbones:
            self.backbone_identity(folder)

    # Targets ----------------------------------------------------------------------------------------------

    @cached_property
    def results(self) -> list[str]:
        """Paths of the records of all planned cells, in the order of the plan."""
        return [self.layout.result(path) for path in self.grid.cells]

    @cached_property
    def transfers(self) -> dict[tuple[str, str], PlannedTransfer]:
        """The planned transfers by path of the source cell and target task."""
        return {(t.source.cell.path, t.target.task): t for t in self.grid.transfers}

    @cached_property
    def transfer_results(self) -> list[str]:
        """Paths of the records of all transfers."""
        return [self.layout.transfer(*key) for key in self.transfers]

    @cached_property
    def measurement_results(self) -> list[str]:
        """Paths of the records of all measurements."""
        return [self.layout.measurement(path) for path in self.grid.measurements]

    # Rows and tokens --------------------------------------------------------------------------------------

    @cached_property
    def data(self) -> dict[str, DataSpec]:
        """The prepared rows that cells, measurements and transfers need, by path; each once."""
        specs = [planned.cell.data for planned in self.grid.cells.values()]
        specs += [planned.cell.cell.data for planned in self.grid.measurements.values()]
        return {spec.path: spec for spec in [*specs, *(t.target for t in self.grid.transfers)]}

    def data_spec(self, data: str) -> str:
        """What the command line of `petscale prepare` takes: specification, folder of local rows, stage's version."""
        spec = self._known(self.data, data, "data")
        folder = str(self.local.rows_folder()) if spec.source == "local" else None
        return canonical({"spec": spec.spec(), "folder": folder, "version": version("prepare")})

    def data_identity(self, data: str) -> str:
        """What reruns `prepare`: as `data_spec`, but with the content of local rows in place of their folder."""
        spec = self._known(self.data, data, "data")
        content = self.local.rows_digest(spec)
        return canonical({"spec": spec.spec(), "folder": content, "version": version("prepare")})

    def tokenize_version(self, tokenizer: str) -> int | str:
        """Version of the stage and of the family whose models read the tokens."""
        return version("tokenize", self._known(self.tokenizers, tokenizer, "tokenizer").shape.family)

    @cached_property
    def tokenizers(self) -> dict[str, Backbone]:
        """One backbone for each tokenizer: the first that has it."""
        found: dict[str, Backbone] = {}
        for backbone in self.grid.backbones.values():
            found.setdefault(slug(backbone.tokenizer), backbone)
        return found

    def tokenizer_backbone(self, tokenizer: str) -> str:
        """Manifest of the backbone whose tokenizer is used."""
        return self.layout.backbone(backbone_folder(self._known(self.tokenizers, tokenizer, "tokenizer")))

    def tokens_of(self, planned: PlannedCell) -> str:
        """Folder of the token arrays that a planned cell reads."""
        return self.layout.tokens(slug(planned.backbone.tokenizer), planned.cell.tokens)

    # Backbones --------------------------------------------------------------------------------------------

    @cached_property
    def backbones(self) -> dict[str, Backbone]:
        """The backbones of the study by the folder in which they are prepared."""
        return {backbone_folder(backbone): backbone for backbone in self.grid.backbones.values()}

    def backbone_spec(self, folder: str) -> str:
        """What the command line of `petscale backbone` takes: name, revision, local folder and the stage's version."""
        backbone = self._known(self.backbones, folder, "backbone")
        local = folder_of(self.study, backbone.name)
        return self._backbone(backbone, None if local is None else str(local), None)

    def backbone_identity(self, folder: str) -> str:
        """What reruns `backbone`: as `backbone_spec`, but with the content of a local folder in place of its path."""
        backbone = self._known(self.backbones, folder, "backbone")
        return self._backbone(backbone, None, self.local.backbone_digest(backbone))

    def _backbone(self, backbone: Backbone, folder: str | None, content: str | None) -> str:
        fields = {"name": backbone.name, "weights": backbone.weights, "folder": folder, "content": content}
        return canonical({**fields, "version": version("backbone", backbone.shape.family)})

    # Cells ------------------------------------------------------------------------------------------------

    def planned(self, cell: str) -> PlannedCell:
        """The cell of that path; of a search's path, the cell that stands for all of its cells."""
        if cell in self.grid.searches:
            return self.grid.dearest(cell)
        if cell not in self.grid.cells:
            # Only a cell that was chosen by a search is looked for in files, and only where it is asked for by name.
            found = chosen_cell(self.grid, self.layout, cell)
            if found is not None:
                return found
        return self._known(self.grid.cells, cell, "cell")

    def cell_inputs(self, cell: str) -> dict[str, str]:
        """The inputs of a cell by name, as its rule declares them.

        Raises:
            BadInput: the study has no such cell.
        """
        return self._inputs(self.planned(cell))

    def _inputs(self, planned: PlannedCell) -> dict[str, str]:
        return {
            "tokens": self.tokens_of(planned),
            "backbone": self.layout.backbone(backbone_folder(planned.backbone)),
        }

    def cell_spec(self, cell: str) -> str:
        """The cell's specification in the form that the command line of `petscale train` takes."""
        return canonical(self.planned(cell).cell.spec())

    def cell_versions(self, cell: str) -> str:
        """Versions whose change reruns a cell: of its stage, of its method, and of the packages."""
        planned = self.planned(cell)
        method, train = planned.cell.method, version("train", planned.backbone.shape.family)
        return f"train {train}, {method} {METHODS[method].version}, pins {self.environment}"

    def cell_code(self, cell: str) -> str:
        """Digest of the code that makes the cell."""
        planned = self.planned(cell)
        return cell_code(planned.cell.method, planned.backbone.shape.family)

    def cost(self, cell: str) -> Cost:
        """The estimated cost of a cell, computed once.

        Raises:
            BadInput: the study has no such cell.
        """
        found = self._costs.get(cell)
        if found is None:
            found = self._costs[cell] = cost_of(self.planned(cell), self.study.hardware)
        return found

    def devices(self, cell: str) -> int:
        """Number of devices of one node that the cell uses."""
        return self.cost(cell).devices

    def placement(self, cell: str) -> str:
        """Options of `petscale train` that divide the cell among devices; empty for most cells."""
        devices, micro_batch = self.devices(cell), self.study.hardware.micro_batch
        words = [f"--devices {devices}"] if devices > 1 else []
        return " ".join([*words, *([f"--micro-batch {micro_batch}"] if micro_batch else [])])

    def memory_mb(self, cell: str) -> int:
        """The host memory that the job of a cell asks for, in MB (10^6 bytes), and at least 1,000."""
        return max(1_000, int(self.cost(cell).host / 1e6))

    def minutes(self, cell: str) -> int:
        """Run time to ask for: the estimate doubled, five minutes at least."""
        return max(5, int(self.cost(cell).seconds / 30))

    def is_small(self, cell: str, minutes: int) -> bool:
        """Whether a cell uses one device for less than `minutes`, so that several cells may share a job."""
        cost = self.cost(cell)
        return cost.devices == 1 and cost.seconds < 60 * minutes

    # Searches ---------------------------------------------------------------------------------------------

    @cached_property
    def probe_results(self) -> list[str]:
        """Paths of the records of the probes of all rounds and seeds that the searches may need."""
        searches = self.grid.searches.values()
        return [self.layout.probe(search.path, *place) for search in searches for place in probes(search)]

    def probe_inputs(self, search: str, number: int) -> dict[str, str | list[str]]:
        """Inputs of the probes of a round: those of its cells, the references, and the records of the round before."""
        found = self._known(self.grid.searches, search, "search")
        return {
            **self.cell_inputs(search),
            "references": [self.layout.result(cell) for cell in found.references],
            "earlier": [self.layout.probe(search, number - 1, seed) for seed in found.seeds] if number > 1 else [],
        }

    def probe_spec(self, search: str) -> str:
        """The search in the form that the command line of `petscale probe` takes."""
        return canonical(self._known(self.grid.searches, search, "search").spec())

    def probe_versions(self, search: str) -> str:
        """Versions whose change runs a search again: those of its cells, and of the rule that chooses budgets."""
        return f"search {version('search')}, {self.cell_versions(search)}"

    def probes_of(self, search: str) -> int:
        """Number of the probes of a search."""
        return len(probes(self._known(self.grid.searches, search, "search")))

    def broken_probes(self, targets: Collection[str]) -> list[str]:
        """Records that no longer agree with the results of their cells, as far as `targets` depend on them."""
        return broken_probes(self.grid, self.layout, targets)

    # Transfer ---------------------------------------------------------------------------------------------

    def transfer_inputs(self, cell: str, target: str) -> dict[str, str]:
        """The inputs of a transfer by name, as its rule declares them.

        Raises:
            BadInput: the study has no such transfer.
        """
        transfer = self._known(self.transfers, (cell, target), "transfer")
        tokenizer = slug(transfer.source.backbone.tokenizer)
        tokens = self.layout.tokens(tokenizer, f"{transfer.target.path}-{transfer.source.cell.labels}")
        return {
            "source": self.layout.result(cell),
            "tokens": tokens,
            "own": self.tokens_of(transfer.source),
            "backbone": self.layout.backbone(backbone_folder(transfer.source.backbone)),
        }

    def transfer_minutes(self, cell: str, target: str) -> int:
        """Run time to ask for: the estimate doubled, five minutes at least."""
        transfer = self._known(self.transfers, (cell, target), "transfer")
        return max(5, int(cost_of_transfer(transfer, self.study.hardware).seconds / 30))

    def transfer_versions(self, cell: str, target: str) -> str:
        """The versions of code and packages whose change makes a transfer run again."""
        family = self._known(self.transfers, (cell, target), "transfer").source.backbone.shape.family
        return f"transfer {version('transfer', family)}, pins {self.environment}"

    # Measurements -----------------------------------------------------------------------------------------

    def measurement(self, measurement: str) -> PlannedMeasurement:
        """The planned measurement of this path.

        Raises:
            BadInput: the study has no such measurement.
        """
        return self._known(self.grid.measurements, measurement, "measurement")

    def measurement_inputs(self, measurement: str) -> dict[str, str]:
        """The inputs of a measurement by name; they are those of its cell."""
        return self._inputs(self.measurement(measurement).cell)

    def measurement_spec(self, measurement: str) -> str:
        """The measurement in the form that the command line of `petscale measure` takes."""
        return canonical(self.measurement(measurement).measurement.spec())

    def measurement_versions(self, measurement: str) -> str:
        """Versions whose change measures again; those of the code are part of the measurement's path too."""
        return f"{self.measurement(measurement).measurement.versions}, pins {self.environment}"

    def measurement_minutes(self, measurement: str) -> int:
        """Run time to ask for: the estimate doubled, five minutes at least."""
        planned = self.measurement(measurement)
        return max(5, int(cost_of_measurement(planned, self.study.hardware).seconds / 30))

    def measurement_memory_mb(self, measurement: str) -> int:
        """The host memory that a measurement asks for, in MB (10^6 bytes), and at least 1,000."""
        planned = self.measurement(measurement)
        return max(1_000, int(cost_of_measurement(planned, self.study.hardware).host / 1e6))

    # Study ------------------------------------------------------------------------------------------------

    def code_of(self, stage: str) -> str:
        """Digest of the code of a cheap stage (collect, analyse, report), which reruns when its code changes."""
        return code_digest(("stages", stage))

    @cached_property
    def study_json(self) -> str:
        """The study in the form that the command line of `petscale collect` takes."""
        return canonical(self.study.model_dump(mode="json"))

    def _known(self, table: Mapping[K, V], key: K, what: str) -> V:
        try:
            return table[key]
        except KeyError:
            raise BadInput(
                f"{self.study.name}: no {what} {key!r} in this study; is this the study file that planned it?"
            ) from None


def locked(lock: Path) -> dict[str, str]:
    """Versions of packages in a lock file, by name.

    Raises:
        BadInput: the file cannot be read.
    """
    try:
        text = lock.read_text()
    except OSError as error:
        raise BadInput(f"{lock}: {error.strerror}; `make install` needs it and reruns depend on it") from None
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", text, flags=re.MULTILINE))


def numeric_digest(versions: Mapping[str, str]) -> str:
    """Digest of the versions that can change numbers (`NUMERIC_PACKAGES`), without labels of builds."""
    chosen = {name: versions[name].split("+")[0] if name in versions else None for name in NUMERIC_PACKAGES}
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:12]
