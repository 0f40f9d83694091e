"""Pre-training gives usual folders with untied output matrices, is deterministic, and gives the shipped checksums."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertForPreTraining,
    BertForSequenceClassification,
    T5ForConditionalGeneration,
)

from petscale.mini.corpus import documents
from petscale.mini.specs import RANDOM, SPECS, spec_of
from petscale.pretraining.ladder import sha256, write_checksums
from petscale.pretraining.pretrain import build_backbone, held_out_loss, unseen

SHIPPED = Path(__file__).parents[2] / "ladders"
FILES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "training.json"}


@pytest.mark.parametrize("name", ["mini-t5-small", "mini-bert-small"])
def test_the_same_seed_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    for copy in ("one", "two"):
        build_backbone(name, tmp_path / copy, steps=3)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    assert {path.name for path in (tmp_path / "one").iterdir()} >= FILES


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    for seed in (0, 1):
        build_backbone("mini-t5-small-random", tmp_path / str(seed), seed=seed)
    assert sha256(tmp_path / "0" / "model.safetensors") != sha256(tmp_path / "1" / "model.safetensors")


def test_a_few_steps_lower_the_held_out_loss(tmp_path: Path) -> None:
    before = build_backbone("mini-t5-small-random", tmp_path / "random")
    after = build_backbone("mini-t5-small", tmp_path / "trained", steps=20)
    assert before["steps"] == 0
    assert after["held_out_loss"] < before["held_out_loss"] - 0.1


def test_building_leaves_the_number_of_threads_alone(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    build_backbone("mini-bert-small-random", tmp_path)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("name", [name for name in SPECS if SPECS[name].family == "t5"])
def test_the_output_matrix_is_untied_and_survives(name: str, tmp_path: Path) -> None:
    model = T5ForConditionalGeneration.from_pretrained(SHIPPED / name)
    for _ in range(2):
        assert not torch.equal(model.lm_head.weight, model.shared.weight)
        assert model.encoder.embed_tokens.weight is model.shared.weight
        assert model.decoder.embed_tokens.weight is model.shared.weight
        # The loader scales the output of a T5 whose file says "tied": logits would shrink eightfold.
        assert model.config.scale_decoder_outputs is False
        assert json.loads((SHIPPED / name / "config.json").read_text())["tie_word_embeddings"] is False
        before = model.lm_head.weight.detach().clone()
        # What transformers itself writes after loading loses the flag; the project must carry it over.
        model.config.tie_word_embeddings = False
        model.save_pretrained(tmp_path)
        model = T5ForConditionalGeneration.from_pretrained(tmp_path)
        assert torch.equal(model.lm_head.weight, before)


@pytest.mark.parametrize("name", [name for name in SPECS if SPECS[name].family == "bert"])
def test_a_classifier_takes_encoder_and_pooler_from_the_folder(name: str) -> None:
    model, report = BertForSequenceClassification.from_pretrained(SHIPPED / name, output_loading_info=True)
    assert set(report["missing_keys"]) == {"classifier.weight", "classifier.bias"}
    assert model.bert.pooler.dense.weight.abs().sum() > 0


@pytest.mark.parametrize("name", SPECS)
def test_the_shipped_folder_is_whole(name: str) -> None:
    folder = SHIPPED / name
    assert {path.name for path in folder.iterdir()} >= FILES
    record = json.loads((folder / "training.json").read_text())
    assert (record["name"], record["steps"]) == (name, SPECS[name].steps)
    assert len(AutoTokenizer.from_pretrained(folder)) == AutoConfig.from_pretrained(folder).vocab_size


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_held_out_loss_falls_with_size(family: str) -> None:
    names = [name for name, spec in SPECS.items() if spec.family == family]
    losses = [json.loads((SHIPPED / name / "training.json").read_text())["held_out_loss"] for name in names]
    assert len(losses) >= 3
    assert losses == sorted(losses, reverse=True)


def test_no_document_of_the_held_out_loss_stands_in_the_corpus() -> None:
    """The language is small, so that documents drawn anew often repeat one that was trained on."""
    texts = unseen()
    assert len(texts) == 1000
    assert not set(texts) & set(documents(60_000, "train"))
    assert set(documents(1000, "held-out")) & set(documents(60_000, "train"))


@pytest.mark.parametrize("name", ["mini-t5-small", "mini-bert-small"])
def test_the_shipped_loss_is_that_of_the_shipped_weights(name: str) -> None:
    folder = SHIPPED / name
    model = {"t5": T5ForConditionalGeneration, "bert": BertForPreTraining}[SPECS[name].family].from_pretrained(folder)
    loss = held_out_loss(model, SPECS[name], AutoTokenizer.from_pretrained(folder))
    assert loss == pytest.approx(json.loads((folder / "training.json").read_text())["held_out_loss"], abs=2e-4)


def test_checksums_match_the_shipped_files() -> None:
    lines = (SHIPPED / "CHECKSUMS").read_text().splitlines()
    listed = dict(reversed(line.split("  ")) for line in lines)
    assert set(listed) == {f"{p.parent.name}/{p.name}" for name in SPECS for p in (SHIPPED / name).iterdir()}
    for path, digest in listed.items():
        assert hashlib.sha256((SHIPPED / path).read_bytes()).hexdigest() == digest


def test_checksums_are_in_the_format_of_sha256sum(tmp_path: Path) -> None:
    folder = tmp_path / "mini-t5-small"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    write_checksums(tmp_path)
    assert (tmp_path / "CHECKSUMS").read_text() == f"{hashlib.sha256(b'{}').hexdigest()}  mini-t5-small/config.json\n"


def test_names_are_checked() -> None:
    assert spec_of("mini-t5-base" + RANDOM) == (SPECS["mini-t5-base"], True)
    with pytest.raises(ValueError, match="mini-t5-huge"):
        spec_of("mini-t5-huge")


@pytest.mark.slow
def test_the_smallest_rung_can_be_rebuilt(tmp_path: Path) -> None:
    """Byte for byte where machine and versions are those of the shipped ladder, else to the same loss."""
    shipped = json.loads((SHIPPED / "mini-t5-small" / "training.json").read_text())
    rebuilt = build_backbone("mini-t5-small", tmp_path)
    assert rebuilt["corpus"] == shipped["corpus"]
    if sha256(tmp_path / "model.safetensors") != sha256(SHIPPED / "mini-t5-small" / "model.safetensors"):
        assert rebuilt["held_out_loss"] == pytest.approx(shipped["held_out_loss"], abs=0.05)
