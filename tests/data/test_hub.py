"""The hub source on a cache that was laid out by hand, as `petscale fetch` would leave it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest

from petscale.data.sources import HubSource, describe, read_rows
from petscale.errors import BadInput
from petscale.tasks import TASKS, Task

from .conftest import reviews

SST2, MULTI_NEWS, SAMSUM, IMDB = (TASKS[name] for name in ("sst2", "multi_news", "samsum", "imdb"))


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
    with pytest.raises(BadInput, match=r"test: labels are \['pos', 'neg'\], the task's order is \['negative', "):
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


def test_hub_rows_are_identified_by_their_commit() -> None:
    assert SST2.hub is not None
    assert describe(SST2, HubSource())["revision"] == SST2.hub.revision
