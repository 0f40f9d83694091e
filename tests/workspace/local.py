"""A study of local rows and a local backbone, whose inputs are made by the commands of the rules."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petscale.artefacts.canonical import digest
from petscale.artefacts.files import file_digest
from petscale.artefacts.layout import Layout
from petscale.artefacts.seal import SEAL
from petscale.cells.record import CellResult, Convergence, Counts, Score, Throughput, write_result
from petscale.cli.main import main
from petscale.workspace.dag import Dag

LADDERS = Path(__file__).resolve().parents[2] / "ladders"


def reviews(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [{"sentence": f"review number {first + n}", "label": n % 2, "idx": n} for n in range(count)]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@dataclass
class LocalStudy:
    """The study in `folder`, which is the working directory of the test."""

    folder: Path

    @classmethod
    def finished(cls, folder: Path) -> Path:
        """Make the study in `folder` with its inputs and a finished cell; returns the folder."""
        with contextlib.chdir(folder):
            study = cls(folder)
            study.fill()
            study.finish()
        return folder

    @property
    def document(self) -> dict[str, Any]:
        return {
            "name": "local",
            "ladders": [{"name": "L", "backbones": ["mine"]}],
            "folders": {"mine": "backbone"},
            "tasks": ["sst2"],
            "data": {"source": "local", "folder": "rows", "name": "made-up", "dev_size": 4},
            "seeds": [1],
            "recipe": {"steps": 2, "evaluate_every": 1, "batch_size": 4, "learning_rate_by_task": {}},
            "experiments": {"methods": {"methods": ["lora"]}},
            "hardware": {"gpus": False},
        }

    @property
    def rows(self) -> Path:
        return self.folder / "rows" / "sst2"

    @property
    def backbone(self) -> Path:
        return self.folder / "backbone"

    def dag(self) -> Dag:
        return Dag.from_config(self.document, "local.yaml", LADDERS.parent)

    def lay_out(self) -> None:
        """Write rows, backbone and study file."""
        write_rows(self.rows / "train.jsonl", reviews(20))
        write_rows(self.rows / "validation.jsonl", reviews(6, first=100))
        shutil.copytree(LADDERS / "mini-t5-small", self.backbone)
        (self.folder / "local.yaml").write_text(json.dumps(self.document))

    def fill(self) -> None:
        """Write them, and make the prepared copies of rows and backbone, and the tokens; from within the folder."""
        self.lay_out()
        self.make_inputs()

    def make_inputs(self) -> None:
        """The commands of the rules `prepare`, `backbone` and `tokenize`."""
        dag, layout = self.dag(), Layout()
        (data,), (folder,), (cell,) = dag.data, dag.backbones, dag.grid.cells
        found = dag.cell_inputs(cell)
        for words in (
            ["prepare", "--spec", dag.data_spec(data), "--out", layout.data(data)],
            ["backbone", "--spec", dag.backbone_spec(folder), "--out", found["backbone"]],
            ["tokenize", "--data", layout.data(data), "--backbone", found["backbone"],
             "--labels", "words", "--out", found["tokens"]],
        ):  # fmt: skip
            assert main(words) == 0

    def finish(self) -> str:
        """Write the record of a cell that was trained on the inputs as they are; its path."""
        dag, layout = self.dag(), Layout()
        (cell,), (data,) = dag.grid.cells, dag.data
        found, planned = dag.cell_inputs(cell), dag.planned(cell)

        def sealed(path: str) -> str:
            document = json.loads(Path(path).read_text())
            return digest({key: value for key, value in document.items() if key != SEAL}, 64)

        score = {"accuracy": Score(value=0.5, se=0.1, n=6)}
        path = Path(layout.result(cell))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_result(
            path,
            CellResult(
                cell=cell,
                digest=planned.cell.digest,
                status="done",
                spec=planned.cell.spec(),
                counts=Counts(trainable=1, effective=1, head=1, stored=1, changed=1, total=1),
                metric="accuracy",
                dev=score,
                test=score,
                convergence=Convergence(best_step=1, best_dev=0.5, steps=2),
                throughput=Throughput(
                    train_tokens_per_s=1.0,
                    inference_tokens_per_s=1.0,
                    startup_s=1.0,
                    train_s=1.0,
                    evaluate_s=1.0,
                    wall_s=1.0,
                ),
                peak_memory=1,
                hashes={
                    "data": file_digest(Path(layout.data(data))),
                    "tokens": sealed(found["tokens"]),
                    "backbone": sealed(found["backbone"]),
                    "code": dag.cell_code(cell),
                },
                provenance={},
            ),
        )
        return cell


def with_times_of(path: Path, stat: os.stat_result) -> None:
    """Set the times back, as `cp -p`, `rsync -t` and `tar x` do."""
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
