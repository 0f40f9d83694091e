"""Backbone folders are made from a local folder, the shipped ladders, pre-training and the hub's cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from backbones.folders import t5_state, write_folder
from petscale.backbones.folder import folder_digest, read_manifest
from petscale.errors import BadInput
from petscale.fetching import materialise as materialise_module
from petscale.fetching.materialise import materialise


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "source", *t5_state(tied=False))


def test_a_local_folder_is_copied_under_the_name_that_the_study_gives(source: Path, tmp_path: Path) -> None:
    materialise("mine", tmp_path / "out", folder=source)
    manifest = read_manifest(tmp_path / "out")
    assert (manifest["name"], manifest["origin"]) == ("mine", {"kind": "local"})
    assert folder_digest(tmp_path / "out") == folder_digest(source)


def test_mini_backbones_are_copied_where_the_checkout_ships_them(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.rename(tmp_path / "mini-t5-small")
    monkeypatch.setattr(materialise_module, "_LADDERS", tmp_path)
    materialise("mini-t5-small", tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest["origin"]["kind"] == "mini"
    assert folder_digest(tmp_path / "out") == folder_digest(tmp_path / "mini-t5-small")


def test_mini_backbones_are_built_where_it_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materialise_module, "_LADDERS", tmp_path / "none")
    materialise("mini-bert-small-random", tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest["shape"]["family"] == "bert"
    assert "model.safetensors" in manifest["files"]


def test_an_unknown_backbone_and_one_that_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETSCALE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BadInput, match="unknown backbone 'google/t5-v1_1-smal'"):
        materialise("google/t5-v1_1-smal", tmp_path / "out")
    with pytest.raises(BadInput, match=r"backbone google/t5-v1_1-small: not in .*; run `petscale fetch STUDY`"):
        materialise("t5-v1_1-small", tmp_path / "out")
