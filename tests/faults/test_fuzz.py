"""Any wrong or damaged input gives an error of one line that names the place, never a traceback.

In all over 10,000 inputs, mutated from good ones: configuration, task entries and rows, records, spools, command lines.
"""

from __future__ import annotations

import contextlib
import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from petscale.artefacts.layout import Layout
from petscale.cells.lock import read_holder
from petscale.cells.record import CellResult, Convergence, Counts, Score, Throughput, read_result
from petscale.cells.state import read_status
from petscale.cli.main import main
from petscale.data.prepare import prepare
from petscale.data.sources import make_source
from petscale.errors import BadInput
from petscale.study.cell import Cell
from petscale.study.grid import PlannedCell
from petscale.tasks.registry import TASKS
from petscale.tasks.task import Task
from petscale.tracking.glance import glance
from petscale.tracking.ledger import read_receipt
from petscale.tracking.points import read_points
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import parse_study, read_yaml

from .mutations import WORDS, mangled, mutated

STUDY: dict[str, Any] = {
    "name": "fuzz",
    "description": "one of everything",
    "ladders": [
        {"name": "mini-t5", "backbones": ["mini-t5-small", "mini-t5-base"]},
        {"name": "mini-bert", "backbones": ["mini-bert-small"]},
    ],
    "folders": {},
    "tasks": ["mini-sentiment", "mini-qa"],
    "data": {"source": "mini", "dev_size": 20, "max_train": 100, "max_test": 40, "few_shot": None, "split_seed": 0},
    "seeds": [1, 2],
    "recipe": {"steps": 20, "evaluate_every": 10, "learning_rate": 0.003, "learning_rate_by_method": {"full": 0.001}},
    "recipe_by_ladder": {"mini-bert": {"steps": 10}},
    "method_options": {"lora": {"rank": 2, "alpha": 4}, "prompt": {"tokens": 8}},
    "experiments": {
        "methods": {"methods": ["full", "lora"]},
        "structure": {"groups": ["lora"], "structures": ["apet-adjacent"]},
        "threshold": {"budgets": [4, 16], "tasks": ["mini-sentiment"]},
        "transfer": {"structures": ["apet-discrete"], "match": "lora"},
        "control": {"methods": ["lora"]},
    },
    "analysis": {"methods": {"permutations": 100}},
    "hardware": {"name": "cpu", "tflops": 0.1, "memory_gb": 4.0},
}
FUZZ = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


def one_line(error: BaseException, place: str) -> None:
    """A message for a user: one line once printed, with the place in it."""
    text = " ".join(str(error).split())
    assert text
    assert place in text, text


def result() -> dict[str, Any]:
    score = {"accuracy": Score(value=0.75, se=0.01, n=40)}
    record = CellResult(
        cell="mini-t5-small/mini-sentiment/lora/seed1-0123456789ab",
        digest="0123456789ab",
        status="done",
        spec={"method": "lora", "options": {"rank": 2}},
        counts=Counts(trainable=100, effective=90, head=0, stored=100, changed=90, total=10_000),
        metric="accuracy",
        dev=score,
        test=score,
        convergence=Convergence(best_step=10, best_dev=0.7, steps=20),
        throughput=Throughput(
            train_tokens_per_s=1.0, inference_tokens_per_s=2.0, startup_s=0.1, train_s=1.0, evaluate_s=0.2, wall_s=2.0
        ),
        peak_memory=1 << 20,
        hashes={"data": "d" * 64},
        provenance={"host": "here"},
    )
    return record.model_dump(mode="json")


SPOOL = b"".join(
    json.dumps({"ts": 1, "step": step, "key": "train/loss", "value": 0.5}).encode() + b"\n" for step in range(3)
)
STATE = json.dumps({"attempts": [{"attempt": 1, "started": "2026-01-01T00:00:00Z"}], "phase": "running"}).encode()


@settings(max_examples=2_500, **FUZZ)
@given(mutated(STUDY))
def test_configurations(document: Any) -> None:
    with contextlib.suppress(BadInput):
        try:
            parse_study(document, "study.yaml")
        except BadInput as error:
            one_line(error, "study.yaml: ")
            raise


@settings(max_examples=400, **FUZZ)
@given(mutated(STUDY))
def test_grids_of_configurations(document: Any) -> None:
    """A study that the Pydantic models accept is accepted by the grid too, or refused with one line."""
    with contextlib.suppress(BadInput):
        study = parse_study(document, "study.yaml")
        # Large grids are tested elsewhere; here they would only cost time.
        if len(study.seeds) < 20:
            open_grid(study)


@settings(max_examples=1_500, **FUZZ)
@given(mangled(yaml.safe_dump(STUDY).encode()))
def test_study_files(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(data)
    try:
        parse_study(read_yaml(path), str(path))
    except BadInput as error:
        one_line(error, "study.yaml")


@settings(max_examples=1_500, **FUZZ)
@given(st.sampled_from(sorted(TASKS)).flatmap(lambda name: mutated(TASKS[name].model_dump())))
def test_task_entries(entry: Any) -> None:
    assume(isinstance(entry, dict))
    try:
        Task(**entry)
    except BadInput as error:
        one_line(error, "task ")


ROWS: dict[str, dict[str, Any]] = {
    "sst2": {"sentence": "a fine film {}", "label": 1},
    "rte": {"premise": "anna saw {}", "hypothesis": "somebody saw it", "label": 0},
    "nq_open": {"question": "who saw {} ?", "answer": ["anna", "anna b."]},
    "samsum": {"id": "{}", "dialogue": "a: {} b: yes", "summary": "they meet"},
}


def jsonl(name: str, start: int, count: int) -> bytes:
    rows = (json.dumps(ROWS[name]).replace("{}", str(start + index)) for index in range(count))
    return "".join(f"{row}\n" for row in rows).encode()


@pytest.mark.parametrize("name", sorted(ROWS))
@settings(max_examples=400, **FUZZ)
@given(data=st.data())
def test_rows_of_tasks(tmp_path: Path, name: str, data: Any) -> None:
    folder = tmp_path / "rows" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_bytes(jsonl(name, 0, 8))
    (folder / "validation.jsonl").write_bytes(jsonl(name, 8, 4))
    (folder / "test.jsonl").write_bytes(jsonl(name, 12, 4))
    harmed = data.draw(st.sampled_from(("train", "validation", "test")))
    path = folder / f"{harmed}.jsonl"
    path.write_bytes(data.draw(mangled(path.read_bytes())))
    try:
        source = make_source(TASKS[name], "local", folder=tmp_path / "rows", name="fuzz")
        prepare(TASKS[name], source, tmp_path / "out", dev_size=2)
    except BadInput as error:
        one_line(error, f"rows/{name}")


@settings(max_examples=1_500, **FUZZ)
@given(mutated(result()))
def test_result_records(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(document))
    try:
        read_result(path)
    except BadInput as error:
        one_line(error, "result.json: key ")


@settings(max_examples=1_500, **FUZZ)
@given(mangled(json.dumps(result()).encode()))
def test_result_files(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(data)
    try:
        read_result(path)
    except BadInput as error:
        one_line(error, "result.json")


@settings(max_examples=800, **FUZZ)
@given(mangled(SPOOL), mangled(STATE))
def test_state_files(tmp_path: Path, spool: bytes, state: bytes) -> None:
    """Spools name the record and statuses the key; locks and receipts that cannot be read count as none."""
    for name in ("metrics.jsonl", "status.json", "lock", "tracking/cells/a/b/c/d.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(spool if name == "metrics.jsonl" else state)
    try:
        read_points(tmp_path / "metrics.jsonl")
    except BadInput as error:
        one_line(error, "metrics.jsonl: record ")
    cells = {phase: f"{phase}/a/b/c" for phase in ("ended", "begun")}
    for phase, cell in cells.items():
        folder = Path(Layout(str(tmp_path)).state(cell))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "status.json").write_bytes(state)
        if phase == "ended":
            record = Path(Layout(str(tmp_path)).result(cell))
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps(result()))
        try:
            seen = glance(cell, str(tmp_path))
        except BadInput as error:
            one_line(error, "status.json: ")
        else:
            assert seen is None or seen.phase == ("done" if phase == "ended" else "failed")
    read_status(tmp_path)
    read_holder(tmp_path / "lock")
    assert read_receipt(str(tmp_path), "a/b/c/d") is None


# Commands without effect where nothing fits; `fetch` needs a network, `schema` and `stages` write into the project.
COMMANDS = (
    "plan",
    "status",
    "count",
    "methods",
    "train",
    "transfer",
    "prepare",
    "tokenize",
    "backbone",
    "collect",
    "track",
)
OPTIONS = (
    *("--study", "--spec", "--tokens", "--backbone", "--results", "--deadline", "--out", "--budget", "--match"),
    *("--option", "--json", "--cells", "--verify", "--uri", "--study-json", "--labels", "--data", "--source"),
)
GOOD = ("study.yaml", "mini-t5-small", "lora", "{}", "[]", "null", '{"spec": {}}', "rank=x", "1e400", "sqlite:///x.db")


def run(arguments: list[str]) -> None:
    """Run a command; it ends with a known code, and with one line where it refuses."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as stop:  # argparse: usage, then one line
            code = int(stop.code or 0)
    told = err.getvalue()
    assert code in (0, 2, 85), (arguments, code, told)
    assert "Traceback" not in told
    if code:
        assert told.strip().split("\n")[-1].startswith("petscale"), (arguments, told)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a good study file, in which commands run without a worker."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PETSCALE_WORKER", "0")
    # What passes the checks would be made for real; here the checks are the point.
    monkeypatch.setattr("petscale.data.prepare.prepare", lambda *arguments, **options: None)
    monkeypatch.setattr("petscale.fetching.materialise.materialise", lambda *arguments, **options: None)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    return tmp_path


@settings(max_examples=1_000, **FUZZ)
@given(
    st.sampled_from(COMMANDS),
    st.lists(st.sampled_from((*OPTIONS, *GOOD, *WORDS)) | st.text(max_size=8), max_size=7),
)
def test_command_lines(elsewhere: Path, command: str, words: list[str]) -> None:
    run([command, *(word for word in words if word not in ("--verify", "study.yaml") or command != "track")])


@cache
def some_cell() -> tuple[str, PlannedCell]:
    return next(iter(open_grid(parse_study(STUDY, "fuzz")).cells.items()))


@settings(max_examples=600, **FUZZ)
@given(st.data())
def test_specifications(elsewhere: Path, data: Any) -> None:
    """Mutated specifications, as a rule would hand them over."""
    path, planned = some_cell()
    spec = data.draw(mutated(planned.cell.spec()))
    with contextlib.suppress(ValueError):
        text = json.dumps(spec, allow_nan=False)
        run(["train", path, "--spec", text, "--tokens", "tokens.json", "--backbone", "backbone.json"])
        run(["prepare", "--spec", json.dumps({"spec": spec.get("data"), "folder": None}), "--out", "x/data.json"])
        run(["backbone", "--spec", text, "--out", "x/backbone.json"])
    assert Cell.from_spec(planned.cell.spec()).path == path
