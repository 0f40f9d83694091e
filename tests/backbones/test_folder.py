"""Backbone folders: unsafe ones are refused, and digests, the checked copy and its manifest are right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from petscale.backbones import folder as folders
from petscale.backbones.check import check_folder
from petscale.backbones.folder import (
    MANIFEST,
    copy_folder,
    folder_digest,
    read_manifest,
    verify,
)
from petscale.errors import BadInput

from .folders import bert_state, t5_state, write_folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "source", *t5_state(tied=False))


def _write(name: str, content: str = "{}") -> Any:
    return lambda folder: (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_write("pytorch_model.bin"), r"pytorch_model\.bin: a pickle can run code when it is read"),
        (_write("old.pt"), r"old\.pt: a pickle"),
        (_write("modeling_mine.py"), r"modeling_mine\.py: backbones that bring code of their own are refused"),
        (_write("config.json", '{"auto_map": {}}'), r"config\.json: key auto_map: remote code is refused"),
        (_write("tokenizer_config.json", '{"auto_map": {}}'), r"tokenizer_config\.json: key auto_map"),
        (_write("config.json", "{"), r"config\.json: not readable JSON"),
        (_write("config.json", "[]"), r"config\.json: not a JSON object"),
        (lambda folder: (folder / "config.json").unlink(), r"source: no config\.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"source: no model\.safetensors"),
    ],
)
def test_what_cannot_be_loaded_safely_is_refused_in_one_line(source: Path, spoil: Any, message: str) -> None:
    spoil(source)
    with pytest.raises(BadInput, match=message) as error:
        check_folder(source)
    assert "\n" not in str(error.value)


def test_an_index_cannot_point_outside(source: Path) -> None:
    (source / "model.safetensors").rename(source.parent / "outside.safetensors")
    index = {"weight_map": {"shared.weight": "../outside.safetensors"}}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(BadInput, match=r"index\.json: names \.\./outside\.safetensors, which is not there"):
        check_folder(source)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere: no such backbone folder"):
        check_folder(tmp_path / "nowhere")


def test_a_local_folder_is_copied_with_a_manifest(source: Path, tmp_path: Path) -> None:
    (source / "README.md").write_text("not part of the backbone")
    copy_folder(source, tmp_path / "out", "mine", {"kind": "local"})
    manifest = read_manifest(tmp_path / "out")
    assert manifest["name"] == "mine"
    assert sorted(manifest["files"]) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert manifest["shape"]["family"] == "t5"
    assert not manifest["shape"]["tied"]
    assert folder_digest(tmp_path / "out") == folder_digest(source)
    assert str(tmp_path) not in (tmp_path / "out" / MANIFEST).read_text()
    verify(tmp_path / "out")


def test_equal_folders_give_equal_manifests(source: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        copy_folder(source, tmp_path / out, "mine", {"kind": "local"})
    assert (tmp_path / "one" / MANIFEST).read_bytes() == (tmp_path / "two" / MANIFEST).read_bytes()


def test_large_weights_are_linked(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_COPIED_AT_MOST", 1000)
    copy_folder(source, tmp_path / "out", "mine", {"kind": "local"})
    assert (tmp_path / "out" / "model.safetensors").samefile(source / "model.safetensors")
    assert not (tmp_path / "out" / "config.json").samefile(source / "config.json")


def test_changed_files_are_found(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    copy_folder(source, out, "mine", {"kind": "local"})
    weights = out / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    read_manifest(out)  # the size is right; reading 45 GB again for every cell would cost more than it tells
    with pytest.raises(BadInput, match=r"model\.safetensors: not the file that backbone\.json describes"):
        verify(out)
    weights.write_bytes(data[:-1])
    with pytest.raises(BadInput, match=r"model\.safetensors: missing, or not of the size"):
        read_manifest(out)


def test_a_manifest_of_another_format_or_none_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"backbone\.json: No such file"):
        read_manifest(source)
    (source / MANIFEST).write_text('{"format": 99}')
    with pytest.raises(BadInput, match=r"backbone\.json: key format: 99, not 1"):
        read_manifest(source)


def test_a_failed_copy_leaves_no_manifest(source: Path, tmp_path: Path) -> None:
    copy_folder(source, tmp_path / "out", "mine", {"kind": "local"})
    (source / "tokenizer.json").unlink()
    (tmp_path / "out" / "tokenizer.json").unlink()
    with pytest.raises(BadInput, match="no tokenizer"):
        copy_folder(source, tmp_path / "out", "mine", {"kind": "local"})
    assert not (tmp_path / "out" / MANIFEST).exists()


@pytest.mark.parametrize(("family", "file"), [("t5", "spiece.model"), ("bert", "vocab.txt")])
def test_published_vocabularies_become_fast_tokenizers(family: str, file: str, shared: Path, tmp_path: Path) -> None:
    """T5 v1.1 and the BERT miniatures are published without `tokenizer.json`."""
    real = shared / "tokenizers" / ("tokenizer-t5" if family == "t5" else "tokenizer-bert-uncased")
    state = t5_state(tied=False, vocab=32128) if family == "t5" else bert_state(vocab=30522)
    source = write_folder(tmp_path / "source", *state)
    (source / "tokenizer.json").unlink()
    (source / file).write_bytes((real / file).read_bytes())
    copy_folder(source, tmp_path / "out", "x", {})
    ours = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    theirs = Tokenizer.from_file(str(real / "tokenizer.json"))
    for text in ("Input: sentence: it 's a charming journey . Output: ", "naïve Œuvre, 8 o'clock!", "not_entailment"):
        assert ours.encode(text).ids == theirs.encode(text).ids
    assert ours.encode("one", "two").type_ids == theirs.encode("one", "two").type_ids
    assert "tokenizer.json" in read_manifest(tmp_path / "out")["files"]
