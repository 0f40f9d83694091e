"""Files that an earlier version wrote are read, scored, exported, tracked and reported by this one.

This guards the rule that a new field with a default changes no digest and makes no old file unreadable.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch
from safetensors import safe_open

from compat.conftest import STUDIES, Old
from petscale.analysis.run import analyse
from petscale.backbones.folder import read_manifest, verify
from petscale.backbones.load import load_model
from petscale.backbones.reading import read_shape
from petscale.cells.record import check_files, read_result
from petscale.cells.state import read_status
from petscale.cli.main import main
from petscale.data.tokenize import tokenize
from petscale.data.tokens import load_tokens
from petscale.families.registry import FAMILIES
from petscale.families.shape import BackboneShape
from petscale.report.build import build
from petscale.study.cell import Cell
from petscale.study.counting import plan_of
from petscale.tasks import TASKS
from petscale.tracking.ledger import read_receipt
from petscale.training.setup import Inputs, prepare_cell
from petscale.training.transfer import transfer
from petscale.tuning.files import load_delta, load_extra
from petscale.tuning.install import install

COMMITTED = Path(__file__).parent / "166f865" / "results"
CELLS = sorted(str(path.parent.relative_to(COMMITTED / "cells")) for path in COMMITTED.glob("cells/**/result.json"))
TOKENS = sorted(str(path.parent.relative_to(COMMITTED)) for path in COMMITTED.glob("tokens/**/tokens.json"))
TRANSFERS = sorted(str(path.relative_to(COMMITTED)) for path in COMMITTED.glob("transfer/**/*.json"))
PEFT = {"lora": "LORA", "prompt": "PROMPT_TUNING", "apet-discrete": "SHIRA"}


def document(path: Path) -> Any:
    return json.loads(path.read_text())


def plan_in_header(path: Path) -> dict[str, Any]:
    """The plan of a delta as its header has it, read with nothing of this project."""
    with safe_open(path, framework="pt") as handle:
        plan: dict[str, Any] = json.loads(handle.metadata()["petscale"])["plan"]
    return plan


def test_the_fixture_has_both_families_and_every_operation() -> None:
    plans = [plan_in_header(COMMITTED / "cells" / cell / "delta.safetensors") for cell in CELLS]
    assert {plan["shape"]["family"] for plan in plans} == {"t5", "bert"}
    assert {site["operation"] for plan in plans for site in plan["sites"]} == {
        "add", "add-hidden", "add-scores", "concat", "concat-input", "plug"
    }  # fmt: skip
    assert {tensor["mask"]["structure"] for plan in plans for site in plan["sites"] for tensor in site["tensors"]} == {
        "dense", "adjacent", "discrete"
    }  # fmt: skip


@pytest.mark.parametrize("cell", CELLS)
def test_a_record_and_the_files_beside_it_are_read(cell: str, old: Old) -> None:
    record = read_result(old.cell(cell) / "result.json")
    check_files(old.cell(cell), record)
    assert record.cell == cell
    assert record.status == "done"
    told = read_status(old.results / "state" / cell)
    assert told is not None
    assert (told["phase"], len(told["attempts"])) == ("done", 1)


@pytest.mark.parametrize("cell", CELLS)
def test_the_identity_of_a_cell_stays(cell: str, old: Old) -> None:
    """Its digest is that of the specification it was trained with, so no study trains it again."""
    record = read_result(old.cell(cell) / "result.json")
    assert Cell.from_spec(record.spec).digest == record.digest
    assert cell.endswith(record.digest)


@pytest.mark.parametrize("cell", CELLS)
def test_a_plan_in_a_file_is_the_plan_of_today(cell: str, old: Old) -> None:
    """Equal to what the method makes now, and its digest still that of the bytes that were written."""
    path = old.cell(cell) / "delta.safetensors"
    plan, _ = load_delta(path)
    written = json.dumps(plan_in_header(path), sort_keys=True, separators=(",", ":"))
    assert plan.digest == hashlib.sha256(written.encode()).hexdigest()
    record = read_result(path.with_name("result.json"))
    today = plan_of(Cell.from_spec(record.spec), plan.shape, masks=True)
    assert today.digest == plan.digest
    assert (plan.trainable, plan.effective) == (record.counts.trainable, record.counts.effective)


@pytest.mark.parametrize("cell", CELLS)
def test_a_delta_is_installed_with_its_own_plan_and_taken_out_again(cell: str, old: Old) -> None:
    plan, values = load_delta(old.cell(cell) / "delta.safetensors")
    classes = len(load_extra(old.cell(cell) / "delta.safetensors").get("head/bias", ())) or None
    model = load_model(old.backbone(cell), plan.shape.family, num_labels=classes)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    delta = install(model, plan, seed=0)
    delta.load_state(values)
    state = delta.state()
    assert state.keys() == values.keys()
    assert all(torch.equal(state[key], values[key]) for key in values)
    delta.remove()
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("cell", CELLS)
def test_a_delta_predicts_what_it_predicted(cell: str, old: Old) -> None:
    """Put into the shipped backbone, it gives the predictions and scores that were published with it."""
    path = old.cell(cell) / "delta.safetensors"
    record, (plan, values) = read_result(path.with_name("result.json")), load_delta(path)
    spec = Cell.from_spec(record.spec)
    ready = prepare_cell(spec, Inputs(old.tokens(spec.task, plan.shape.family, spec.labels), old.backbone(cell)))
    ready.load_trained({**values, **load_extra(path)})
    found = ready.evaluate("test")
    published = pyarrow.parquet.read_table(path.with_name("predictions.parquet")).to_pydict()
    for column in ("id", "prediction", "reference", "score"):
        assert found.examples[column] == published[column], column
    assert {name: score.value for name, score in found.scores.items()} == pytest.approx(
        {name: score.value for name, score in record.test.items()}
    )


@pytest.mark.parametrize("path", TRANSFERS)
def test_a_transfer_gives_what_it_gave(path: str, old: Old, tmp_path: Path) -> None:
    """Also the number of shared rows, which needs tokens whose digest the record still names."""
    there = old.results / path
    cell = str(Path(path).parent.relative_to("transfer"))
    tokens, own = (old.tokens(task, "t5", "unified") for task in (there.stem, cell.split("/")[1]))
    transfer(old.cell(cell) / "result.json", tokens, own, old.backbone(cell), tmp_path / "out.json")
    assert document(tmp_path / "out.json") == document(there)


@pytest.mark.parametrize("cell", CELLS)
def test_export(cell: str, old: Old, tmp_path: Path) -> None:
    assert main(["export", str(old.cell(cell)), str(tmp_path / "out")]) == 0
    written = {path.name for path in (tmp_path / "out").iterdir()}
    plan, _ = load_delta(old.cell(cell) / "delta.safetensors")
    method = plan.method
    if method in PEFT and not (method == "prompt" and plan.shape.family == "bert"):
        assert written == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
        assert document(tmp_path / "out" / "adapter_config.json")["peft_type"] == PEFT[method]
    else:
        assert written == {"README.md", "delta.safetensors"}
        assert (tmp_path / "out" / "delta.safetensors").read_bytes() == (
            old.cell(cell) / "delta.safetensors"
        ).read_bytes()


@pytest.mark.parametrize("name", ["mini-t5-small", "mini-bert-small"])
def test_a_manifest_of_a_backbone_is_read(name: str, old: Old) -> None:
    folder = old.backbone(name)
    manifest = read_manifest(folder)
    verify(folder)
    assert BackboneShape.from_json(manifest["shape"]) == read_shape(folder)


@pytest.mark.parametrize("name", TOKENS)
def test_tokens_are_read(name: str, old: Old) -> None:
    tokens = load_tokens(old.results / name)
    assert tokens.splits == ["dev", "test", "train"]
    assert [len(tokens.split(split)) for split in tokens.splits] == [16, 24, 32]


@pytest.mark.parametrize("name", TOKENS)
def test_old_rows_give_the_same_tokens(name: str, old: Old, tmp_path: Path) -> None:
    """Rows and their manifest are read, and every array comes out byte for byte as it did."""
    there = load_tokens(old.results / name)
    rows, labels = Path(name).name.rsplit("-", 1)
    (backbone,) = old.results.glob(f"backbones/{Path(name).parent.name}-small-mini-v*")
    tokenize(
        old.results / "data" / rows, TASKS[there.manifest["task"]], backbone, FAMILIES[there.manifest["family"]],
        tmp_path / "tokens", labels=labels,  # type: ignore[arg-type]
    )  # fmt: skip
    assert load_tokens(tmp_path / "tokens").manifest == there.manifest


@pytest.mark.parametrize("study", STUDIES)
def test_status_counts_every_cell_as_done(study: str, old_copy: Old, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", f"{study}.yaml", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    planned = [cell["cell"] for cell in document(old_copy.results / study / "plan.json")["cells"]]
    assert [cell["cell"] for cell in told["cells"]] == planned
    assert told["totals"]["done"] == len(planned)


def test_the_tracker_sends_old_cells_and_reads_old_receipts(old_copy: Old, empty_database: Path) -> None:
    """The store that the receipts name is gone, so all is sent anew, and the new receipts say the same of each cell."""
    shutil.copyfile(empty_database, old_copy.results / "tracking" / "mlflow.db")
    root = str(old_copy.results)
    cells = [cell["cell"] for cell in document(old_copy.results / "old-t5" / "plan.json")["cells"]]
    before = {cell: read_receipt(root, cell) for cell in cells}
    assert main(["track", "old-t5.yaml", "--out", "tracked.json"]) == 0
    assert document(Path("tracked.json")) == document(old_copy.results / "old-t5" / "tracked.json")
    for cell, receipt in before.items():
        after = read_receipt(root, cell)
        assert receipt is not None and after is not None
        assert after.store != receipt.store
        for field in ("cell", "attempt", "status", "metrics", "claims", "root"):
            assert getattr(after, field) == getattr(receipt, field), field
    assert main(["track", "old-t5.yaml", "--verify"]) == 0


@pytest.mark.parametrize("study", STUDIES)
def test_tables_and_report_of_an_old_plan(study: str, old: Old, tmp_path: Path) -> None:
    plan = old.results / study / "plan.json"
    analyse(plan, old.results, tmp_path / "tables")
    table = (tmp_path / "tables" / "cells.csv").read_text()
    for cell in document(plan)["cells"]:
        assert cell["digest"] in table
        assert cell["cell"] not in (tmp_path / "tables" / "missing.csv").read_text()
    build(plan, old.results, tmp_path / "tables", tmp_path / "report.html", tmp_path / "figures")
    page = (tmp_path / "report.html").read_text()
    assert all(cell["cell"].split("/")[0] in page for cell in document(plan)["cells"])
    figures = {path.name.split("-mini-")[0] for path in (tmp_path / "figures").iterdir()}
    assert figures >= {"methods", "gaps", "threshold" if study == "old-bert" else "curves"}
