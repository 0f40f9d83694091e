"""The content of local rows and backbones, and nothing else of them, reruns what was made from them, and is told."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from petscale.artefacts.layout import Layout
from petscale.cells.record import read_result
from petscale.cli.main import main
from petscale.errors import BadInput
from petscale.workspace.dag import Dag
from workspace.local import LocalStudy, reviews, with_times_of, write_rows


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study with its inputs and a finished cell, made once; tests work on copies."""
    return LocalStudy.finished(tmp_path_factory.mktemp("made"))


@pytest.fixture
def study(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStudy:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    monkeypatch.chdir(copy)
    return LocalStudy(copy)


def identities(study: LocalStudy) -> tuple[str, str]:
    """What reruns `prepare` and `backbone`."""
    dag = study.dag()
    (data,), (folder,) = dag.data, dag.backbones
    return dag.data_identity(data), dag.backbone_identity(folder)


def flipped_label(study: LocalStudy) -> None:
    path = study.rows / "train.jsonl"
    before, text = path.stat(), path.read_text()
    path.write_text(text.replace('"label": 0', '"label": 1', 1))
    with_times_of(path, before)


def older_rows(study: LocalStudy) -> None:
    path = study.rows / "validation.jsonl"
    write_rows(path, reviews(6, first=500))
    os.utime(path, (1, 1))


def other_format(study: LocalStudy) -> None:
    (study.rows / "train.jsonl").unlink()
    lines = "".join(f"review number {n},{n % 2},{n}\n" for n in range(20))
    (study.rows / "train.csv").write_text("sentence,label,idx\n" + lines)


def other_weights(study: LocalStudy) -> None:
    path = study.backbone / "model.safetensors"
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with_times_of(path, before)


def other_tokenizer(study: LocalStudy) -> None:
    path = study.backbone / "tokenizer.json"
    path.write_text(path.read_text() + "\n")


def other_config(study: LocalStudy) -> None:
    path = study.backbone / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "dropout_rate": 0.3}))


ROWS = [flipped_label, older_rows, other_format]
BACKBONE = [other_weights, other_tokenizer, other_config]


@pytest.mark.parametrize("change", [*ROWS, *BACKBONE])
def test_changed_content_reruns_and_is_told(
    study: LocalStudy, change: Callable[[LocalStudy], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever size and times say: the rule's parameter differs, and the cell counts as stale with the file named."""
    rows, backbone = identities(study)
    change(study)
    assert (identities(study)[0] != rows, identities(study)[1] != backbone) == (change in ROWS, change in BACKBONE)
    assert main(["status", "local.yaml", "--stale", "--json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    assert cell["stale"]
    assert ("its rows changed: rows/sst2" in cell["stale_cause"]) == (change in ROWS)
    assert ("its backbone changed: backbone/" in cell["stale_cause"]) == (change in BACKBONE)
    assert main(["status", "local.yaml"]) == 0
    told = capsys.readouterr().out
    assert "1 of them were trained on rows or weights that are no longer there" in told
    assert f"rerun: snakemake results/cells/{cell['cell']}/result.json" in told


def test_what_is_no_content_reruns_nothing(study: LocalStudy, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Times, files that are not read, and another place of the same files."""
    before = identities(study)
    for path in (*study.rows.iterdir(), *study.backbone.iterdir()):
        os.utime(path, (5, 5))
    (study.rows / "train.jsonl~").write_text("an editor's backup")
    (study.rows / "notes.txt").write_text("mine")
    (study.backbone / "README.md").write_text("mine")
    assert identities(study) == before
    assert main(["status", "local.yaml", "--stale"]) == 0
    assert capsys.readouterr().out == "0 cells: \n"
    study.rows.parent.rename("elsewhere")
    study.backbone.rename("other-backbone")
    moved = study.document
    moved["data"]["folder"], moved["folders"]["mine"] = "elsewhere", "other-backbone"
    dag = Dag.from_config(moved, "local.yaml", root)
    (data,), (folder,) = dag.data, dag.backbones
    assert (dag.data_identity(data), dag.backbone_identity(folder)) == before


def test_catalogue_and_mini_rows_keep_their_parameters(root: Path) -> None:
    """Guards against a new version that retrains every finished cell: these texts are recorded by Snakemake."""
    study = LocalStudy(Path()).document
    study |= {"ladders": [{"name": "L", "backbones": ["mini-t5-small"]}], "folders": {}, "tasks": ["mini-sentiment"]}
    study["data"] = {"source": "mini", "dev_size": 4}
    dag = Dag.from_config(study, "mini.yaml", root)
    (data,), (folder,) = dag.data, dag.backbones
    assert dag.data_identity(data) == dag.data_spec(data)
    assert dag.backbone_identity(folder) == dag.backbone_spec(folder)
    assert json.loads(dag.backbone_spec(folder)).keys() == {"name", "weights", "folder", "content", "version"}


def test_inputs_that_are_gone_are_told(study: LocalStudy, capsys: pytest.CaptureFixture[str]) -> None:
    """A finished study stays readable when its rows were removed, and says that nobody could repeat it."""
    shutil.rmtree(study.rows)
    assert main(["status", "local.yaml", "--stale"]) == 0
    assert "its rows are no longer there: local: data.folder: rows/sst2 is no folder" in capsys.readouterr().out
    with pytest.raises(BadInput, match="rows/sst2 is no folder"):
        study.dag().check_inputs()


def test_two_files_of_one_split_stop_the_study_at_once(study: LocalStudy) -> None:
    (study.rows / "train.csv").write_text("x\n")
    with pytest.raises(BadInput, match=r"both train.jsonl and train.csv"):
        study.dag().check_inputs()


def test_inputs_that_were_made_anew_make_older_cells_stale(
    study: LocalStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rules ran again, but the cell did not: its record names the digests of what it was trained on."""
    flipped_label(study)
    study.make_inputs()
    assert main(["status", "local.yaml", "--stale"]) == 0
    assert "its prepared rows were made anew since, with other content" in capsys.readouterr().out
    study.finish()
    assert main(["status", "local.yaml", "--stale"]) == 0
    assert capsys.readouterr().out == "0 cells: \n"


def test_the_plan_of_a_report_names_cells_of_other_inputs(study: LocalStudy) -> None:
    """`petscale collect` writes it, the report shows it above everything else."""
    collect = ["collect", "--study", "local.yaml", "--out", "results/local/plan.json"]
    assert main(collect) == 0
    assert json.loads(Path("results/local/plan.json").read_text())["changed_inputs"] == {}
    other_weights(study)
    assert main(collect) == 0
    (told,) = json.loads(Path("results/local/plan.json").read_text())["changed_inputs"].items()
    assert read_result(Path(Layout().result(told[0]))).status == "done"
    assert "model.safetensors has other content" in told[1]
    assert main(["analyse", "results/local/plan.json"]) == 0
    assert main(["report", "results/local/plan.json"]) == 0
    page = Path("results/local/report.html").read_text()
    assert "1 of the cells were trained on rows or weights that are no longer there" in page


def test_a_backbone_is_not_copied_onto_itself(study: LocalStudy, root: Path) -> None:
    """Its files would be removed before they are copied."""
    document = study.document
    (folder,) = study.dag().backbones
    document["folders"]["mine"] = str(Path(Layout().backbone(folder)).parent)
    dag = Dag.from_config(document, "local.yaml", root)
    with pytest.raises(BadInput, match=r"folders.mine: .* is the place of its checked copy"):
        dag.check_inputs()
