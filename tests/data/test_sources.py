"""Rows are read from a local folder and from the mini language, and are checked before any use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from petscale.data.checks import check_apart, check_split, input_columns
from petscale.data.prepare import prepare
from petscale.data.rows import Rows
from petscale.data.sources import (
    HubSource,
    LocalSource,
    MiniSource,
    describe,
    make_source,
    read_rows,
    source_digest,
)
from petscale.errors import BadInput
from petscale.tasks import TASKS

from .conftest import Write, reviews

SST2, MNLI, NQ, SAMSUM = (TASKS[name] for name in ("sst2", "mnli", "nq_open", "samsum"))


def _refusal(source: LocalSource, task: str = "sst2") -> str:
    with pytest.raises(BadInput) as error:
        read_rows(TASKS[task], source)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_rows_keep_the_task_s_columns_alone(local: Write) -> None:
    rows = read_rows(SST2, local("sst2", train=reviews(4), validation=reviews(2, first=9)))
    assert rows["train"].rows[0] == {"sentence": "review number 0", "label": 0}
    assert len(rows["test"]) == 2


def test_a_label_outside_its_set(local: Write) -> None:
    bad = [*reviews(2), {"sentence": "x", "label": 2}]
    message = _refusal(local("sst2", train=bad, validation=reviews(2, first=9)))
    assert message.endswith("train.jsonl: row 3: label 2 is outside 0 to 1 (negative, positive)")


@pytest.mark.parametrize(
    "label", [-1, None, 0.5, True, "positive", float("nan"), [1], {"a": 1}, "²", "--1", "9" * 5000, "\ud83d"]
)
def test_a_label_that_is_none(local: Write, label: object) -> None:
    """Any JSON value that is no label gives one short line; Python takes some of these for digits."""
    message = _refusal(local("sst2", train=reviews(2), validation=[{"sentence": "x", "label": label}]))
    assert "validation.jsonl: row 1: label" in message
    assert len(message) < 300


@pytest.mark.parametrize(
    "task, row, column",
    [
        ("sst2", {"sentence": "x \ud83d", "label": 1}, "sentence"),
        ("samsum", {"dialogue": "d", "summary": "\udfff"}, "summary"),
        ("nq_open", {"question": "q", "answer": ["a", "\ud83d"]}, "answer"),
        ("nq_open", {"question": "q", "answer": '["\\ud83d"]'}, "answer"),
    ],
)
def test_half_a_surrogate_pair_is_no_text(local: Write, task: str, row: dict[str, object], column: str) -> None:
    """JSON can contain it and Python reads it, but later steps cannot, so it is refused here with its row."""
    message = _refusal(local(task, train=[row], validation=[row]), task)
    assert f"train.jsonl: row 1: column '{column}' holds '\\ud" in message
    assert message.isascii()


def test_a_missing_column(local: Write) -> None:
    message = _refusal(local("sst2", train=[{"text": "x", "label": 1}], validation=reviews(1)))
    assert message.endswith("train.jsonl: row 1: column 'sentence' is missing (there are: text, label)")


def test_a_text_that_is_none(local: Write) -> None:
    message = _refusal(local("sst2", train=[{"sentence": 3, "label": 1}], validation=reviews(1)))
    assert message.endswith("row 1: column 'sentence' must be a text, not int")


def test_an_empty_text(local: Write) -> None:
    message = _refusal(local("sst2", train=[{"sentence": "  ", "label": 1}], validation=reviews(1)))
    assert message.endswith("train.jsonl: row 1: column 'sentence' is empty")


def test_an_empty_split(local: Write) -> None:
    assert _refusal(local("sst2", train=reviews(1), validation=[])).endswith("validation.jsonl: no rows")


def test_train_rows_leaked_into_validation(local: Write) -> None:
    leaked = {"sentence": "Review  NUMBER 1", "label": 0}  # up to case and spacing
    message = _refusal(local("sst2", train=reviews(3), validation=[*reviews(2, first=9), leaked]))
    assert "train.jsonl: row 2: the same input stands in " in message
    assert message.endswith("validation.jsonl: row 3")


def test_a_missing_folder_and_a_missing_file(local: Write) -> None:
    source = local("sst2", train=reviews(2))
    assert "no file validation or test.{jsonl,parquet,tsv,csv}" in _refusal(source)
    assert "no such folder" in _refusal(source, "rte")


def test_answers_are_lists_of_texts(local: Write) -> None:
    test = [{"question": "who", "answer": ["me"]}]
    message = _refusal(local("nq_open", train=[{"question": "q", "answer": [1]}], validation=test), "nq_open")
    assert message.endswith("row 1: column 'answer' must be a list of texts")
    message = _refusal(local("nq_open", train=[{"question": "q", "answer": []}], validation=test), "nq_open")
    assert message.endswith("row 1: column 'answer' is empty")
    deep = local("nq_open", train=[{"question": "q", "answer": "[" * 100_000}], validation=test)
    assert read_rows(NQ, deep)["train"].rows[0]["answer"] == ["[" * 100_000]  # no JSON, so one plain text


def test_tsv_labels_and_answers_are_read_as_what_they_mean(tmp_path: Path) -> None:
    for task, line in {
        "sst2": "sentence\tlabel\n{} text\t1\n",
        "nq_open": 'question\tanswer\n{} q\t["a", "b"]\n',
    }.items():
        (tmp_path / task).mkdir()
        for split in ("train", "validation"):
            (tmp_path / task / f"{split}.tsv").write_text(line.format(split))
    source = LocalSource(tmp_path, "tsv")
    assert read_rows(SST2, source)["train"].rows == [{"sentence": "train text", "label": 1}]
    assert read_rows(NQ, source)["train"].rows == [{"question": "train q", "answer": ["a", "b"]}]


def test_a_labelled_test_file_goes_before_validation_where_the_task_s_test_is_one(local: Write) -> None:
    rows = [{"dialogue": f"d {n}", "summary": "s"} for n in range(6)]
    both = local("samsum", train=rows[:2], validation=rows[2:4], test=rows[4:5])
    assert len(read_rows(SAMSUM, both)["test"]) == 1
    glue = local("sst2", train=reviews(2), validation=reviews(3, first=9), test=reviews(1, first=20))
    assert len(read_rows(SST2, glue)["test"]) == 3


def test_mismatched_mnli_is_a_further_test_set_where_it_is_there(local: Write) -> None:
    row = {"premise": "p", "hypothesis": "h", "label": 2}
    source = local("mnli", train=[row], validation=[{**row, "premise": "q"}])
    assert set(read_rows(MNLI, source)) == {"train", "test"}
    source = local("mnli", validation_mismatched=[{**row, "premise": "r"}])
    assert set(read_rows(MNLI, source)) == {"train", "test", "mismatched"}


def test_flaws_of_published_sets_are_dropped_and_counted() -> None:
    columns = input_columns(SST2)
    assert columns == ("sentence",)
    raw = Rows("hub", [*reviews(3), {"sentence": "", "label": 1}, {"sentence": None, "label": 0}], [1, 2, 3, 4, 5])
    train = check_split(SST2, raw, flaws="drop")
    assert (len(train), train.dropped) == (3, {"empty text": 2})
    test = check_split(SST2, Rows("hub", reviews(2), [1, 2]), flaws="drop")
    apart = check_apart(SST2, train, {"test": test}, flaws="drop")
    assert [row["sentence"] for row in apart.rows] == ["review number 2"]
    assert apart.dropped == {"empty text": 2, "input in an evaluation split": 2}
    assert apart.place(0) == "hub: row 3"


def _flawed(local: Write) -> LocalSource:
    """A local export with an empty text in each split and two train rows that the test holds too."""
    empty = {"sentence": " ", "label": 1}
    return local("sst2", train=[*reviews(5), empty], validation=[*reviews(2), *reviews(2, first=9), empty])


def test_flaws_of_local_rows_are_dropped_and_counted_where_the_study_says_so(local: Write, tmp_path: Path) -> None:
    """Without this, full IMDB or SAMSum as local files could not be used at all."""
    source = _flawed(local)
    assert "column 'sentence' is empty" in _refusal(source)
    splits = read_rows(SST2, LocalSource(source.folder, source.name, flaws="drop"))
    assert [row["sentence"] for row in splits["train"].rows] == [f"review number {n}" for n in (2, 3, 4)]
    assert splits["train"].dropped == {"empty text": 1, "input in an evaluation split": 2}
    assert (len(splits["test"]), splits["test"].dropped) == (4, {"empty text": 1})
    prepare(SST2, LocalSource(source.folder, source.name, flaws="drop"), tmp_path / "out", dev_size=1)
    manifest = json.loads((tmp_path / "out" / "data.json").read_bytes())
    assert manifest["dropped"] == {name: rows.dropped for name, rows in splits.items()}


def test_dropped_flaws_do_not_excuse_other_faults(local: Write) -> None:
    source = local("sst2", train=[*reviews(3), {"sentence": "x", "label": 7}], validation=reviews(2, first=9))
    assert "row 4: label 7 is outside" in _refusal(LocalSource(source.folder, source.name, flaws="drop"))


def test_dropping_flaws_is_part_of_the_identity_and_refusing_them_is_not(local: Write) -> None:
    """Other rows must have another identity, and rows that were prepared before the option existed keep theirs."""
    source = _flawed(local)
    assert set(describe(SST2, source)) == {"kind", "name", "files"}
    dropping = LocalSource(source.folder, source.name, flaws="drop")
    assert describe(SST2, dropping) == {**describe(SST2, source), "flaws": "drop"}
    assert source_digest(SST2, dropping) != source_digest(SST2, source)


@pytest.mark.parametrize("name", [task.name for task in TASKS.values() if task.source == "mini"])
def test_mini_rows_pass_the_same_checks(name: str) -> None:
    rows = read_rows(TASKS[name], MiniSource())
    assert min(len(rows["train"]), len(rows["test"])) > 100


def test_which_source_a_study_s_task_has() -> None:
    folder = Path("somewhere")
    assert make_source(SST2, "local", folder=folder, name="n") == LocalSource(folder, "n")
    assert make_source(SST2, "local", folder=folder, name="n", flaws="drop").flaws == "drop"
    assert make_source(SST2, "hub") == HubSource(None)
    assert make_source(TASKS["mini-qa"], "hub") == MiniSource()
    with pytest.raises(BadInput, match="needs both"):
        make_source(SST2, "local")
    with pytest.raises(BadInput, match="no task of the mini language"):
        make_source(SST2, "mini")


def test_the_digest_follows_content_and_not_place(local: Write, tmp_path: Path) -> None:
    source = local("sst2", train=reviews(2), validation=reviews(1, first=5))
    before = source_digest(SST2, source)
    moved = tmp_path / "moved"
    (tmp_path / "rows").rename(moved)
    assert source_digest(SST2, LocalSource(moved, source.name)) == before
    assert str(tmp_path) not in json.dumps(describe(SST2, LocalSource(moved, source.name)))
    (moved / "sst2" / "train.jsonl").write_text(json.dumps(reviews(1)[0]))
    assert source_digest(SST2, LocalSource(moved, source.name)) != before
