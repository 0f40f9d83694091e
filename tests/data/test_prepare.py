"""Splits have their sizes and follow the dev rule; no input is in two splits; equal content gives equal bytes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petscale.artefacts.files import file_digest
from petscale.data.prepare import MANIFEST, prepare, split_train
from petscale.data.rows import Rows
from petscale.data.sources import LocalSource, MiniSource, make_source
from petscale.errors import BadInput
from petscale.mini.language import SPLITS
from petscale.mini.tasks import rows
from petscale.tasks import TASKS

from .conftest import Write, reviews

SST2 = TASKS["sst2"]


def _read(folder: Path, split: str) -> list[dict[str, Any]]:
    return pyarrow.parquet.read_table(folder / f"{split}.parquet").to_pylist()


def _ids(folder: Path, split: str) -> list[str]:
    return [row["id"] for row in _read(folder, split)]


def test_prepared_rows(local: Write, tmp_path: Path) -> None:
    row = {"premise": "P", "hypothesis": "H", "label": 1}
    source = local("mnli", train=[row, {**row, "premise": "Q"}], validation=[{**row, "premise": "R"}])
    prepare(TASKS["mnli"], source, tmp_path / "out", dev_size=1)
    assert _read(tmp_path / "out", "test") == [
        {
            "id": "test-1",
            "text_a": "R",
            "text_b": "H",
            "source": "Input: premise: R [SEP] hypothesis: H Output: ",
            "label": 1,
            "target": "neutral",
            "target_unified": "2",
            "references": ["neutral"],
        }
    ]


def test_free_text_is_trained_on_its_first_reference(local: Write, tmp_path: Path) -> None:
    rows = [{"question": f"q{n}", "answer": ["a", "b"]} for n in range(3)]
    prepare(TASKS["nq_open"], local("nq_open", train=rows[:2], validation=rows[2:]), tmp_path, dev_size=1)
    (row,) = _read(tmp_path, "test")
    assert (row["label"], row["target"], row["target_unified"], row["references"]) == (-1, "a", "a", ["a", "b"])
    assert row["text_b"] is None


def test_dev_is_held_out_from_train_and_the_test_is_kept_whole(local: Write, tmp_path: Path) -> None:
    source = local("sst2", train=reviews(50), validation=reviews(20, first=100))
    prepare(SST2, source, tmp_path / "out", dev_size=10)
    train, dev, test = (_ids(tmp_path / "out", split) for split in ("train", "dev", "test"))
    assert (len(train), len(dev), len(test)) == (40, 10, 20)
    assert sorted([*train, *dev]) == sorted(f"train-{n}" for n in range(1, 51))
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert manifest["sizes"] == {"train": 40, "dev": 10, "test": 20}
    assert manifest["sha256"]["dev"] == file_digest(tmp_path / "out" / "dev.parquet")


def test_equal_content_gives_equal_bytes(local: Write, tmp_path: Path) -> None:
    source = local("sst2", train=reviews(30), validation=reviews(5, first=100))
    for out in ("one", "two"):
        prepare(SST2, source, tmp_path / out, dev_size=10, max_train=12)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["data.json", "dev.parquet", "test.parquet", "train.parquet"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_smaller_subsamples_lie_inside_larger_ones(local: Write, tmp_path: Path) -> None:
    source = local("sst2", train=reviews(60), validation=reviews(30, first=100))
    for size in (5, 20):
        prepare(SST2, source, tmp_path / str(size), dev_size=10, max_train=size, max_test=size)
    for split in ("train", "test"):
        small, large = (_ids(tmp_path / str(size), split) for size in (5, 20))
        assert len(small) == 5
        assert set(small) < set(large)
    assert _ids(tmp_path / "5", "dev") == _ids(tmp_path / "20", "dev")


def test_another_split_seed_gives_another_dev(local: Write, tmp_path: Path) -> None:
    source = local("sst2", train=reviews(60), validation=reviews(5, first=100))
    for seed in (0, 1):
        prepare(SST2, source, tmp_path / str(seed), dev_size=10, split_seed=seed)
    assert _ids(tmp_path / "0", "dev") != _ids(tmp_path / "1", "dev")


def test_few_shot_takes_k_rows_a_class_in_train_and_in_dev(local: Write, tmp_path: Path) -> None:
    source = local("sst2", train=reviews(40), validation=reviews(5, first=100))
    prepare(SST2, source, tmp_path / "out", dev_size=1, few_shot=4)
    for split in ("train", "dev"):
        assert Counter(row["label"] for row in _read(tmp_path / "out", split)) == {0: 4, 1: 4}
    assert not set(_ids(tmp_path / "out", "train")) & set(_ids(tmp_path / "out", "dev"))
    with pytest.raises(BadInput, match=r"train\.jsonl: too few rows of label [01] for 11 shots"):
        prepare(SST2, source, tmp_path / "out", dev_size=1, few_shot=11)


def test_few_shot_of_free_text_takes_k_rows(tmp_path: Path) -> None:
    prepare(TASKS["mini-qa"], MiniSource(), tmp_path, dev_size=1, few_shot=7)
    assert len(_ids(tmp_path, "train")) == len(_ids(tmp_path, "dev")) == 7


def test_a_source_s_own_dev_rows_are_used_and_train_is_kept_whole(tmp_path: Path) -> None:
    """The dev rows of a mini task have words of their own; rows held out from train would share its words."""
    task = TASKS["mini-sentiment"]
    prepare(task, MiniSource(), tmp_path, dev_size=40, max_test=60)
    assert json.loads((tmp_path / MANIFEST).read_text())["sizes"] == {"train": 2000, "dev": 40, "test": 60}
    for split in SPLITS:
        assert {row["text_a"] for row in _read(tmp_path, split)} <= {row["text"] for row in rows(task.name, split)}


def test_few_shot_takes_its_dev_rows_from_the_source_s_own(tmp_path: Path) -> None:
    prepare(TASKS["mini-qa"], MiniSource(), tmp_path, dev_size=1, few_shot=7)
    for split in ("train", "dev"):
        assert {row["text_a"] for row in _read(tmp_path, split)} <= {row["question"] for row in rows("mini-qa", split)}


def test_too_few_rows_for_dev(local: Write, tmp_path: Path) -> None:
    source = local("sst2", train=reviews(5), validation=reviews(5, first=100))
    with pytest.raises(BadInput, match=r"train\.jsonl: 5 rows do not leave any"):
        prepare(SST2, source, tmp_path / "out", dev_size=5)
    assert not (tmp_path / "out" / MANIFEST).exists()


def test_a_failed_rerun_leaves_no_manifest_that_could_be_believed(
    local: Write, tmp_path: Path, monkeypatch: Any
) -> None:
    source = local("sst2", train=reviews(30), validation=reviews(5, first=100))
    prepare(SST2, source, tmp_path / "out", dev_size=10)
    monkeypatch.setattr("pyarrow.parquet.write_table", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        prepare(SST2, source, tmp_path / "out", dev_size=10)
    assert not (tmp_path / "out" / MANIFEST).exists()


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.sampled_from("abcdefghijklmnop"), min_size=2, max_size=60),
    dev_size=st.integers(1, 30),
    max_train=st.none() | st.integers(1, 30),
    seed=st.integers(0, 5),
)
def test_no_input_is_in_two_splits(texts: list[str], dev_size: int, max_train: int | None, seed: int) -> None:
    read = Rows("f", [{"sentence": text, "label": 0} for text in texts], list(range(1, len(texts) + 1)))
    try:
        train, dev = split_train(SST2, read, dev_size=dev_size, max_train=max_train, few_shot=None, seed=seed)
    except BadInput:
        return  # too few rows, or one input fills the file
    assert not {texts[index] for index in train} & {texts[index] for index in dev}
    assert len(set(train) | set(dev)) == len(train) + len(dev)
    assert 0 < len(dev) <= dev_size
    assert 0 < len(train) <= (max_train or len(texts))


@pytest.mark.parametrize("name", [task.name for task in TASKS.values() if task.source == "hub"])
def test_real_rows_are_prepared_without_overlap(name: str, shared: Path, tmp_path: Path) -> None:
    task = TASKS[name]
    source = make_source(task, "local", folder=shared / "data", name="slices")
    assert isinstance(source, LocalSource)
    prepare(task, source, tmp_path, dev_size=30)
    splits = {split: _read(tmp_path, split) for split in ("train", "dev", "test")}
    inputs = {split: {row["source"].casefold() for row in found} for split, found in splits.items()}
    assert len(splits["dev"]) == 30
    assert not inputs["train"] & inputs["dev"]
    assert not (inputs["train"] | inputs["dev"]) & inputs["test"]
    lines = (shared / "data" / name / "validation.jsonl").read_text().splitlines()
    assert len(splits["test"]) == len(lines)
