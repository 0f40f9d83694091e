"""The hub source reads a cache that was made by hand in the layout of `petscale fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest

from petscale.data.sources import HubSource, describe, read_rows
from petscale.errors import BadInput
from petscale.tasks import TASKS, Task

from .conftest import reviews


def _uncounted(task: Task) -> Task:
    """The task with any small number of rows as published ones, since a few made-up rows cannot have the real one."""
    assert task.hub is not None
    few = {split: tuple(range(1, 20)) for split in task.hub.splits}
    return task.model_copy(update={"hub": task.hub.model_copy(update={"rows": few})})


SST2, MULTI_NEWS, SAMSUM, IMDB = (_uncounted(TASKS[name]) for name in ("sst2", "multi_news", "samsum", "imdb"))


@pytest.fixture(autouse=True)
def _library_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "library")


def _snapshot(task: Task, cache: Path) -> Path:
    """The folder of the pinned commit in the hub library's layout."""
    assert task.hub is not None
    repository = cache / f"datasets--{task.hub.id.replace('/', '--')}"
    folder = repository / "snapshots" / task.hub.revision
    folder.mkdir(parents=True)
    return folder


def _labelled(rows: list[dict[str, Any]], names: list[str]) -> datasets.Dataset:
    table = datasets.Dataset.from_list(rows)
    return table.cast_column("label", datasets.ClassLabel(names=names))


def test_parquet_files_of_the_commit_are_read(tmp_path: Path) -> None:
    folder = _snapshot(SST2, tmp_path) / "sst2"
    folder.mkdir()
    rows = reviews(6)
    # Two shards, in the order of their names; a row that the test split holds too, and an empty one.
    flawed = [{"sentence": "Review number 9", "label": 1, "idx": 7}, {"sentence": " ", "label": 0, "idx": 8}]
    names = ["negative", "positive"]
    _labelled(rows[:3], names).to_parquet(folder / "train-00000-of-00002.parquet")
    _labelled([*rows[3:], *flawed], names).to_parquet(folder / "train-00001-of-00002.parquet")
    _labelled(reviews(2, first=9), names).to_parquet(folder / "validation-00000-of-00001.parquet")
    splits = read_rows(SST2, HubSource(tmp_path))
    assert [row["sentence"] for row in splits["train"].rows] == [row["sentence"] for row in rows]
    assert splits["train"].dropped == {"empty text": 1, "input in an evaluation split": 1}
    assert splits["test"].origin == "hub nyu-mll/glue@bcdcba79 sst2 validation"


def test_published_label_names_must_have_the_task_s_order(tmp_path: Path) -> None:
    folder = _snapshot(IMDB, tmp_path) / "plain_text"
    folder.mkdir()
    rows = [{"text": f"t{n}", "label": n % 2} for n in range(4)]
    _labelled(rows[:2], ["neg", "pos"]).to_parquet(folder / "train-00000-of-00001.parquet")
    _labelled(rows[2:], ["pos", "neg"]).to_parquet(folder / "test-00000-of-00001.parquet")
    with pytest.raises(BadInput, match="test: labels are named pos, neg, in the task's order they are negative, pos"):
        read_rows(IMDB, HubSource(tmp_path))


def test_csv_files(tmp_path: Path) -> None:
    folder = _snapshot(SAMSUM, tmp_path)
    for split in ("train", "test"):
        (folder / f"{split}.csv").write_text(f'id,dialogue,summary\n1,"A: {split}\r\nB: yes, no",They talk.\n')
    row = read_rows(SAMSUM, HubSource(tmp_path))["test"].rows[0]
    assert row["summary"] == "They talk."
    assert row["dialogue"].split() == ["A:", "test", "B:", "yes,", "no"]


def test_plain_text_files_with_one_row_a_line(tmp_path: Path) -> None:
    folder = _snapshot(MULTI_NEWS, tmp_path) / "data"
    folder.mkdir()
    for split in ("train", "test"):
        # A line separator that Python's splitlines would take for the end of a row.
        (folder / f"{split}.src.cleaned").write_text(
            f"{split} one NEWLINE_CHAR two\u2028three ||||| four\nsecond {split}\n"
        )
        (folder / f"{split}.tgt").write_text("– first\n– second\n")
    rows = read_rows(MULTI_NEWS, HubSource(tmp_path))["train"].rows
    assert rows[0] == {"document": "train one \n two\u2028three ||||| four", "summary": "– first"}
    assert len(rows) == 2
    (folder / "test.tgt").write_text("– first\n")
    with pytest.raises(BadInput, match=r"multi_news@38cb2069 test: its files differ in their number of lines"):
        read_rows(MULTI_NEWS, HubSource(tmp_path))


def test_what_is_not_fetched_is_one_line_that_says_how_to(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"hub nyu-mll/glue@bcdcba79 sst2: not, or not whole, in .*; run `petscale fetch"
    ):
        read_rows(SST2, HubSource(tmp_path))
    folder = _snapshot(SST2, tmp_path) / "sst2"
    folder.mkdir()
    _labelled(reviews(2), ["negative", "positive"]).to_parquet(folder / "train-00000-of-00001.parquet")
    with pytest.raises(BadInput, match=r"no file sst2/validation-\*\.parquet in .*; run `petscale fetch"):
        read_rows(SST2, HubSource(tmp_path))


def _two_parts(cache: Path) -> Path:
    """A train split in two parts and a validation split in one."""
    folder = _snapshot(SST2, cache) / "sst2"
    folder.mkdir()
    names = ["negative", "positive"]
    for part in range(2):
        rows = _labelled(reviews(3, first=3 * part), names)
        rows.to_parquet(folder / f"train-0000{part}-of-00002.parquet")
    _labelled(reviews(2, first=9), names).to_parquet(folder / "validation-00000-of-00001.parquet")
    return folder


@pytest.mark.parametrize("fault", ["first part gone", "last part gone", "a part of another set"])
def test_a_split_with_parts_missing_is_not_taken_for_the_whole(tmp_path: Path, fault: str) -> None:
    """Otherwise a cell on half a split would have the identity of one on the whole split."""
    folder = _two_parts(tmp_path)
    first, last = (folder / f"train-0000{part}-of-00002.parquet" for part in range(2))
    if fault == "a part of another set":
        last.rename(folder / "train-00001-of-00003.parquet")
    else:
        (first if fault == "first part gone" else last).unlink()
    with pytest.raises(
        BadInput, match=r"glue@bcdcba79 sst2: parts of sst2/train-\*\.parquet are missing in .*; run `petsc"
    ):
        read_rows(SST2, HubSource(tmp_path))


def test_the_number_of_rows_must_be_the_published_one(tmp_path: Path) -> None:
    """A readable file may still be truncated or come from another commit."""
    folder = _two_parts(tmp_path)
    assert len(read_rows(SST2, HubSource(tmp_path))["train"]) == 6
    assert folder.is_dir()
    with pytest.raises(BadInput, match=r"sst2 train: 6 rows, not the 67,349 published; run `petscale fetch"):
        read_rows(TASKS["sst2"], HubSource(tmp_path))


@pytest.mark.parametrize("fault", ["cut", "empty", "overwritten", "a link to nothing"])
def test_a_damaged_parquet_file_is_named(tmp_path: Path, fault: str) -> None:
    path = _two_parts(tmp_path) / "train-00001-of-00002.parquet"
    data = path.read_bytes()
    if fault == "a link to nothing":
        path.unlink()
        path.symlink_to(tmp_path / "gone")
    else:
        damaged = {"cut": data[: len(data) // 2], "empty": b"", "overwritten": data[:4] + b"\xff" * 40 + data[44:]}
        path.write_bytes(damaged[fault])
    with pytest.raises(BadInput, match=r"train-00001-of-00002\.parquet: cannot be read \(.*; run `petscale") as error:
        read_rows(SST2, HubSource(tmp_path))
    assert "\n" not in str(error.value)


def test_damaged_csv_and_text_files_are_named(tmp_path: Path) -> None:
    folder = _snapshot(SAMSUM, tmp_path)
    (folder / "test.csv").write_text("id,dialogue,summary\n1,d,s\n")
    (folder / "train.csv").write_text('id,dialogue,summary\n1,"A: cut off wi')
    with pytest.raises(BadInput, match=r"train\.csv: cannot be read \(.*EOF inside string"):
        read_rows(SAMSUM, HubSource(tmp_path))
    folder = _snapshot(MULTI_NEWS, tmp_path) / "data"
    folder.mkdir()
    for name in ("train.src.cleaned", "train.tgt", "test.src.cleaned", "test.tgt"):
        (folder / name).write_bytes(b"cut \xe2\x80")
    with pytest.raises(BadInput, match=r"train\.src\.cleaned: cannot be read \('utf-8' codec"):
        read_rows(MULTI_NEWS, HubSource(tmp_path))


def test_hub_rows_are_identified_by_their_commit() -> None:
    """The published number of rows is a check: rows of the same commit keep their identity whether it stands or not."""
    assert SST2.hub is not None
    assert describe(SST2, HubSource())["revision"] == SST2.hub.revision
    assert describe(TASKS["sst2"], HubSource()) == describe(SST2, HubSource())
    assert "rows" not in describe(SST2, HubSource())
