"""Fetching with the hub's client from a local server: listing, resuming, checksums, conversion and offline use."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from safetensors.torch import load_file

from backbones.folders import bert_state, t5_state, write_folder
from petscale.backbones.convert import pickle_files
from petscale.backbones.fetched import fetched
from petscale.backbones.folder import read_manifest
from petscale.backbones.load import load_model
from petscale.data.sources import HubSource, read_rows
from petscale.errors import BadInput
from petscale.fetching.fetch import HuggingFace, fetch
from petscale.fetching.materialise import materialise
from petscale.tasks import TASKS

from .hub_server import serve

T5_SMALL = "google/t5-v1_1-small"
BERT_SMALL = "google/bert_uncased_L-4_H-512_A-8"
COMMITS = {
    f"model/{T5_SMALL}": "53a7297b5c63005dbde0cde571029743e9106391",
    f"model/{BERT_SMALL}": "300d527ce921ae72fb9bcccf5b2ab0f7e1cccaee",
    "model/google-bert/bert-large-uncased": "6da4b6a26a1877e173fca3225479512db81a5e5b",
    "model/google/t5-v1_1-xl": "a" * 40,
    "dataset/nyu-mll/glue": "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
}
VOCABULARY = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film"])


class Stand:
    """A running stand-in, what it sent, and a fetch that asks it."""

    def __init__(self, hub: Path, cache: Path, url: str, sent: list[str], damaged: set[str]) -> None:
        self.hub, self.cache, self.url, self.sent, self.damaged = hub, cache, url, sent, damaged
        self.said: list[str] = []

    def fetch(self, tasks: Any = (), backbones: Any = (), **options: Any) -> Any:
        self.said.clear()
        options.setdefault("remote", HuggingFace(self.url))
        return fetch(tasks, backbones, self.cache, say=self.said.append, **options)


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("PETSCALE_CACHE", str(tmp_path / "cache"))
    hub = tmp_path / "hub"
    sent: list[str] = []
    damaged: set[str] = set()
    write_folder(hub / "model" / T5_SMALL, *t5_state(tied=False))
    with serve(hub, COMMITS, sent, damaged) as url:
        yield Stand(hub, tmp_path / "cache", url, sent, damaged)


def _pickle(folder: Path, config: dict[str, Any], state: dict[str, torch.Tensor], *, legacy: bool = False) -> Path:
    """A backbone that exists as a pickle alone; `legacy` in the format of torch before 1.6, which is no zip."""
    write_folder(folder, config, {"x": torch.zeros(1)})
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    return folder


def test_it_says_first_what_it_will_download(stand: Stand) -> None:
    stand.fetch([TASKS["mini-qa"]], [T5_SMALL, "mini-t5-small"], dry_run=True)
    assert stand.said[0].startswith(f"model {T5_SMALL}: {T5_SMALL}@53a7297b, 3 files, ")
    assert stand.said[1].startswith("0.00 GB in all, to ")
    assert len(stand.said) == 2
    assert stand.sent == []
    assert not stand.cache.exists()


def test_a_fetched_backbone_is_what_cells_load(stand: Stand, tmp_path: Path) -> None:
    stand.fetch(backbones=["t5-v1_1-small"])
    materialise("t5-v1_1-small", tmp_path / "out")
    model = load_model(tmp_path / "out", "t5")
    published = load_file(stand.hub / "model" / T5_SMALL / "model.safetensors")
    assert torch.equal(model.lm_head.weight, published["lm_head.weight"])
    origin = read_manifest(tmp_path / "out")["origin"]
    assert origin["commit"] == COMMITS[f"model/{T5_SMALL}"]
    data = (stand.hub / "model" / T5_SMALL / "model.safetensors").read_bytes()
    assert origin["sha256"]["model.safetensors"] == hashlib.sha256(data).hexdigest()
    with pytest.raises(BadInput, match=r"is of commit 53a7297b.*, not 0000; fetch again"):
        materialise("t5-v1_1-small", tmp_path / "out", revision="0000")


def test_names_without_an_owner_are_asked_for_with_one(stand: Stand) -> None:
    write_folder(stand.hub / "model" / "google-bert/bert-large-uncased", *bert_state())
    stand.fetch(backbones=["bert-large"])
    assert stand.said[0].startswith("model bert-large-uncased: google-bert/bert-large-uncased@6da4b6a2, 3 files")
    assert read_manifest(fetched("bert-large-uncased"))["name"] == "bert-large-uncased"


def test_a_second_fetch_downloads_nothing(stand: Stand) -> None:
    stand.fetch(backbones=[T5_SMALL])
    stand.sent.clear()
    stand.fetch(backbones=[T5_SMALL])
    assert stand.sent == []
    assert stand.said[-1] == f"model {T5_SMALL}: done"


@pytest.mark.parametrize("tied, legacy", [(False, False), (True, False), (True, True)])
def test_pickles_are_converted_once(stand: Stand, tmp_path: Path, tied: bool, legacy: bool) -> None:
    """Both formats of pickles give the tensors; torch cannot map the older one, which early backbones may have."""
    config, state = t5_state(tied=tied)
    shared = state["shared.weight"]
    for name in ("encoder", "decoder"):
        state[f"{name}.embed_tokens.weight"] = shared  # second names of one storage, as published
    if tied:
        state["lm_head.weight"] = shared
    state["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = torch.ones(32, 2)
    write_folder(stand.hub / "model" / T5_SMALL, config, {})
    (stand.hub / "model" / T5_SMALL / "model.safetensors").unlink()
    _pickle(stand.hub / "model" / T5_SMALL, config, state, legacy=legacy)
    stand.fetch(backbones=[T5_SMALL])
    folder = fetched(T5_SMALL)
    names = set(load_file(folder / "model.safetensors"))
    assert ("lm_head.weight" in names) is not tied
    assert not any("embed_tokens" in name or "EncDecAttention.relative" in name for name in names)
    assert not list(folder.glob("*.bin"))
    manifest = read_manifest(folder)
    assert manifest["origin"]["converted"]
    assert set(manifest["origin"]["sha256"]) == {"pytorch_model.bin", "tokenizer.json"}
    assert manifest["shape"]["tied"] is tied
    assert torch.equal(load_model(folder, "t5").shared.weight, shared)


def test_bert_miniatures_get_a_fast_tokenizer(stand: Stand) -> None:
    folder = _pickle(stand.hub / "model" / BERT_SMALL, *bert_state())
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text(VOCABULARY)
    stand.fetch(backbones=["bert-small"])
    assert (fetched(BERT_SMALL) / "tokenizer.json").is_file()
    load_model(fetched(BERT_SMALL), "bert", num_labels=2)


class _Harmful:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return print, ("code of a pickle ran",)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_code_is_refused_and_not_run(
    stand: Stand, capsys: pytest.CaptureFixture[str], legacy: bool
) -> None:
    """Neither format of pickles may run what it holds."""
    config, state = t5_state(tied=False)
    (stand.hub / "model" / T5_SMALL / "model.safetensors").unlink()
    harmful: Any = {**state, "extra": _Harmful()}
    _pickle(stand.hub / "model" / T5_SMALL, config, harmful, legacy=legacy)
    with pytest.raises(BadInput, match=r"pytorch_model\.bin: not plain tensors \(Weights only load failed") as error:
        stand.fetch(backbones=[T5_SMALL])
    assert "\n" not in str(error.value)
    assert "ran" not in capsys.readouterr().out
    with pytest.raises(BadInput, match="run `petscale fetch STUDY`"):
        fetched(T5_SMALL)


@pytest.mark.parametrize("content", [torch.zeros(2), [torch.zeros(2)], {"model": {"w": torch.zeros(2)}}])
def test_a_pickle_of_something_else_than_named_tensors_is_one_line(stand: Stand, content: Any) -> None:
    """A bare tensor, a list and a nested dictionary load without running anything, and are no state of a model."""
    (stand.hub / "model" / T5_SMALL / "model.safetensors").unlink()
    _pickle(stand.hub / "model" / T5_SMALL, t5_state(tied=False)[0], content)
    with pytest.raises(BadInput, match=r"pytorch_model\.bin: holds more than named tensors$"):
        stand.fetch(backbones=[T5_SMALL])


def test_a_file_that_is_not_what_the_commit_records_is_refused_and_fetched_anew(stand: Stand) -> None:
    stand.damaged.add("model.safetensors")
    with pytest.raises(BadInput, match=r"model\.safetensors: not the file that .*@53a7297b records \(sha256\)"):
        stand.fetch(backbones=[T5_SMALL])
    stand.damaged.clear()
    stand.fetch(backbones=[T5_SMALL])
    assert [line for line in stand.sent if line.startswith("model.safetensors")] == ["model.safetensors whole"] * 2


def test_an_interrupted_download_goes_on_where_it_stopped(stand: Stand) -> None:
    data = (stand.hub / "model" / T5_SMALL / "model.safetensors").read_bytes()
    blobs = stand.cache / "hub" / f"models--{T5_SMALL.replace('/', '--')}" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(data).hexdigest()}.partial").write_bytes(data[:20_000])
    stand.fetch(backbones=[T5_SMALL])
    assert "model.safetensors bytes=20000-" in stand.sent
    assert "model.safetensors whole" not in stand.sent
    assert load_model(fetched(T5_SMALL), "t5") is not None


def test_an_unpinned_backbone_is_said_to_be_one_and_keeps_its_commit(stand: Stand, monkeypatch: Any) -> None:
    write_folder(stand.hub / "model" / "google/t5-v1_1-xl", *t5_state(tied=False))
    stand.fetch(backbones=["google/t5-v1_1-xl"])
    assert "(main, not pinned)" in stand.said[0]
    assert read_manifest(fetched("google/t5-v1_1-xl"))["origin"]["commit"] == "a" * 40
    monkeypatch.setitem(COMMITS, "model/google/t5-v1_1-xl", "b" * 40)
    with pytest.raises(BadInput, match="the hub cannot be used"):  # the stand-in knows one commit alone
        stand.fetch(backbones=["google/t5-v1_1-xl"])


def test_a_fetched_data_set_is_read_offline(stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stand.hub / "dataset" / "nyu-mll" / "glue" / "sst2"
    folder.mkdir(parents=True)
    for split, first in {"train": 0, "validation": 5, "test": 9}.items():
        rows = [{"sentence": f"film {first + n}", "label": n % 2} for n in range(4 if split == "train" else 2)]
        datasets.Dataset.from_list(rows).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    task = TASKS["sst2"]
    assert task.hub is not None
    few = {split: tuple(range(1, 20)) for split in task.hub.splits}  # six made-up rows are not all
    task = task.model_copy(update={"hub": task.hub.model_copy(update={"rows": few})})
    stand.fetch([task])
    assert sorted(line.split()[0] for line in stand.sent) == [
        "sst2/train-00000-of-00001.parquet",
        "sst2/validation-00000-of-00001.parquet",
    ]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "library")
    assert len(read_rows(task, HubSource())["train"]) == 4


def test_a_small_file_that_was_cut_is_fetched_anew(stand: Stand) -> None:
    """The commit records the size of small files, but no checksum."""
    folder = stand.hub / "dataset" / "nyu-mll" / "glue" / "sst2"
    folder.mkdir(parents=True)
    for split in ("train", "validation"):
        (folder / f"{split}-00000-of-00001.parquet").write_bytes(split.encode() * 10)
    stand.fetch([TASKS["sst2"]])
    path = next(stand.cache.glob("hub/**/snapshots/*/sst2/train-*"))
    path.write_bytes(b"trai")
    with pytest.raises(
        BadInput, match=r"train-00000-of-00001\.parquet: not the file that .* records \(size\); fetch again"
    ):
        stand.fetch([TASKS["sst2"]])
    stand.fetch([TASKS["sst2"]])
    assert path.read_bytes() == b"train" * 10


def test_what_the_hub_lacks_is_one_line(stand: Stand) -> None:
    (stand.hub / "dataset" / "nyu-mll" / "glue").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"task sst2: nyu-mll/glue@bcdcba79 has no file sst2/train-\*\.parquet"):
        stand.fetch([TASKS["sst2"]])
    with pytest.raises(BadInput, match="fetch: the hub cannot be used"):
        stand.fetch([TASKS["imdb"]])
    (stand.hub / "model" / T5_SMALL / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="has no weights that can be read"):
        stand.fetch(backbones=[T5_SMALL])


def test_without_network_it_is_one_line(stand: Stand) -> None:
    with pytest.raises(BadInput, match=r"^fetch: the hub cannot be used \(") as error:
        stand.fetch(backbones=[T5_SMALL], remote=HuggingFace("http://127.0.0.1:9"))
    assert "\n" not in str(error.value)


def test_the_command_takes_a_study_s_backbones_and_tasks(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    from petscale.cli import fetch as command

    asked: list[Any] = []
    monkeypatch.setattr("petscale.fetching.fetch.fetch", lambda *args, **options: asked.append((args, options)))
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["fetch", str(root / "config.yaml"), "--dry-run", "--cache", "somewhere"])
    assert args.func(args) == 0
    ((tasks, backbones, cache), options) = asked[0]
    assert (cache, options) == (Path("somewhere"), {"dry_run": True})
    assert all(name.startswith("mini-") for name in backbones)
    assert list(tasks) == []


@pytest.mark.parametrize(
    "index, told",
    [
        ('{"weight_map": {"a": "../elsewhere.bin"}}', r"names '\.\./elsewhere\.bin', which is no file of this folder"),
        ('{"weight_map": {"a": 7}}', r"names 7, which is no file of this folder"),
        ('{"weight_map": 7}', "not a readable index"),
        ("{", "not a readable index"),
    ],
)
def test_an_index_leads_nowhere_else(tmp_path: Path, index: str, told: str) -> None:
    """A hub's index must not make the conversion read another user's files (the fault of CVE-2026-69112)."""
    (tmp_path / "pytorch_model.bin.index.json").write_text(index)
    with pytest.raises(BadInput, match=told):
        pickle_files(tmp_path)
