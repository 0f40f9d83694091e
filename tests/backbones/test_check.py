"""The check of a whole backbone folder: what no cell could load is refused once, in one line that names the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tokenizers import Tokenizer, normalizers

from petscale.backbones.check import check_backbone
from petscale.backbones.folder import copy_folder
from petscale.backbones.load import load_model
from petscale.backbones.tokenizer import read_tokenizer
from petscale.cli.main import main
from petscale.data.decode import load_tokenizer
from petscale.errors import BadInput
from petscale.fetching.materialise import materialise
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import parse_study

from .folders import bert_state, t5_state, tiny_tokenizer, write_folder

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 711396\n"
BOM = b"\xef\xbb\xbf"


def bert(folder: Path, **changes: Any) -> Path:
    config, state = bert_state()
    return write_folder(folder, {**config, **changes}, state)


def refused(folder: Path) -> str:
    with pytest.raises(BadInput) as error:
        check_backbone(folder)
    message = str(error.value)
    assert "\n" not in message and message.startswith(str(folder))
    return message.removeprefix(f"{folder}/")


def tokenizer(change: Callable[[Tokenizer], Any], size: int = 50) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        made = tiny_tokenizer("bert", size)
        change(made)
        made.save(str(folder / "tokenizer.json"))

    return spoil


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def _variant(data: bytes) -> bytes:
    document = json.loads(data)
    document["model"]["type"] = "WordLevelNew"
    return json.dumps(document).encode()


def _lower(made: Tokenizer) -> None:
    made.normalizer = normalizers.Lowercase()
    made.add_tokens(["Berlin"])


def _cased_words(folder: Path) -> None:
    """A vocabulary with capitals behind a normalizer that makes every text lower-case."""
    document = json.loads((folder / "tokenizer.json").read_text())
    document["model"]["vocab"] = {word.replace("w", "W"): index for word, index in document["model"]["vocab"].items()}
    document["normalizer"] = {"type": "Lowercase"}
    (folder / "tokenizer.json").write_text(json.dumps(document))


FAULTS: list[tuple[Callable[[Path], Any], str]] = [
    (rewrite("tokenizer.json", _variant), "tokenizer.json: no tokenizer that tokenizers "),
    (rewrite("tokenizer.json", lambda data: data[:300]), "tokenizer.json: no tokenizer that tokenizers "),
    (rewrite("tokenizer.json", lambda data: b"{}"), "tokenizer.json: no tokenizer that tokenizers "),
    (rewrite("tokenizer.json", lambda data: b"\xff" + data), "tokenizer.json: no tokenizer that tokenizers "),
    (rewrite("tokenizer.json", lambda data: LFS), "tokenizer.json: a Git LFS pointer"),
    (rewrite("config.json", lambda data: LFS), "config.json: a Git LFS pointer"),
    (rewrite("config.json", lambda data: data.decode().encode("utf-16")), "config.json: text in UTF-16"),
    (rewrite("model.safetensors", lambda data: LFS), "model.safetensors: a Git LFS pointer"),
    (rewrite("model.safetensors", lambda data: data[:-1]), "model.safetensors: cut short: "),
    (rewrite("model.safetensors", lambda data: data[:100]), "model.safetensors: not a safetensors file"),
    (
        tokenizer(lambda made: made.add_tokens(["moviewow"])),
        "tokenizer.json: token 'moviewow' has id 50, but the vocab",
    ),
    (tokenizer(lambda made: None, size=60), "tokenizer.json: token 'w54' has id 59, but the vocabulary matrix has 50"),
    (
        lambda folder: tiny_tokenizer("t5").save(str(folder / "tokenizer.json")),
        "tokenizer.json: no token [SEP]; not a tokenizer of the bert family",
    ),
    (
        tokenizer(lambda made: setattr(made, "post_processor", None)),
        "tokenizer.json: it does not close both texts of a pair with [SEP]",
    ),
    (
        _cased_words,
        "tokenizer.json: makes texts lower-case, but 45 tokens of its vocabulary have capitals, such as 'W0'",
    ),
    (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer (tokenizer.json, spiece.model or vocab.txt)"),
    (
        rewrite("config.json", lambda data: data.replace(b'"pad_token_id": 0', b'"pad_token_id": 3')),
        "config.json: key pad_token_id: 3, but the tokenizer gives [PAD] the id 0",
    ),
]


@pytest.mark.parametrize(("spoil", "message"), FAULTS)
def test_a_folder_that_no_cell_could_load_is_refused(
    tmp_path: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    """Each of these was planned without a word, and then a traceback in every cell."""
    folder = bert(tmp_path / "bb")
    check_backbone(folder)
    spoil(folder)
    found = refused(folder)
    assert message in found
    with pytest.raises(BadInput):  # the rule that makes the folder of cells gives the same answer
        copy_folder(folder, tmp_path / "out", "bb", {"kind": "local"})


def test_a_tokenizer_of_another_model_is_told_by_its_size(tmp_path: Path) -> None:
    """A cased vocabulary of 28,996 words beside an uncased matrix of 30,522 rows; a padded matrix is fine."""
    config, state = bert_state(vocab=2000)
    folder = write_folder(tmp_path / "bb", config, state)
    assert "50 tokens, but the vocabulary matrix has 2000 rows; the tokenizer is another model's" in refused(folder)
    tiny_tokenizer("bert", 1999 - 1000).save(str(folder / "tokenizer.json"))
    check_backbone(folder)


def test_byte_order_marks_are_read(tmp_path: Path) -> None:
    """Windows editors write them, and JSON readers differ in what they make of them."""
    folder = bert(tmp_path / "bb")
    for name in ("config.json", "tokenizer.json"):
        rewrite(name, lambda data: BOM + data)(folder)
    copy_folder(folder, tmp_path / "out", "bb", {"kind": "local"})
    load_model(tmp_path / "out", "bert", num_labels=2)
    assert load_tokenizer(tmp_path / "out").token_to_id("w0") == 5


def test_a_vocabulary_with_capitals_keeps_them(tmp_path: Path) -> None:
    """Without a word on the case, transformers makes every text lower-case, so "Berlin" became unknown."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "berlin", "the"]
    for folder, more in (("cased", ["Berlin"]), ("uncased", ["house"])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "vocab.txt").write_text("\n".join([*words, *more]) + "\n")
    assert read_tokenizer(tmp_path / "cased").encode("Berlin").tokens == ["[CLS]", "Berlin", "[SEP]"]
    assert read_tokenizer(tmp_path / "uncased").encode("Berlin").tokens == ["[CLS]", "berlin", "[SEP]"]
    (tmp_path / "cased" / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    assert read_tokenizer(tmp_path / "cased").encode("Berlin").tokens == ["[CLS]", "berlin", "[SEP]"]


def test_a_damaged_vocabulary_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(b"no model")
    with pytest.raises(BadInput, match=r"spiece\.model: no vocabulary that can be read \("):
        read_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("bert", {"hidden_act": "gelooo"}, "no config that transformers can use ("),
        ("bert", {"layer_norm_eps": "small"}, "no config that transformers can use ("),
        ("t5", {"feed_forward_proj": "gated-gelu-x"}, "no config that transformers can use ("),
        (
            "t5",
            {"decoder_start_token_id": None},
            "config key decoder_start_token_id: expected a row of the vocab",
        ),
    ],
)
def test_a_config_that_makes_no_model_is_refused_by_the_rule(
    tmp_path: Path, family: str, changes: dict[str, Any], message: str
) -> None:
    """A plan needs no torch, so it cannot tell; the rule makes the model without weights, once for all cells."""
    config, state = bert_state() if family == "bert" else t5_state(tied=False)
    folder = write_folder(tmp_path / "bb", {**config, **changes}, state)
    check_backbone(folder)
    with pytest.raises(BadInput) as error:
        materialise("bb", tmp_path / "out", folder=folder)
    assert str(error.value).startswith(f"{folder}/config.json: {message}")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out" / "backbone.json").exists()


@pytest.mark.parametrize("ladder", ["mini-t5-small", "mini-t5-large", "mini-bert-small", "mini-bert-large"])
def test_the_shipped_backbones_pass(root: Path, ladder: str) -> None:
    check_backbone(root / "ladders" / ladder)


# In a study ---------------------------------------------------------------------------------------------------------


def study(folder: Path, task: str) -> dict[str, Any]:
    return {
        "name": "own",
        "ladders": [{"name": "own", "backbones": ["mine"]}],
        "folders": {"mine": str(folder)},
        "tasks": [task],
        "experiments": {"methods": {"methods": ["lora"]}},
    }


@pytest.mark.parametrize(
    ("changes", "task", "message"),
    [
        (
            {"max_position_embeddings": 63},
            "mini-sentiment",
            "its 63 positions are too few for task mini-sentiment",
        ),
        ({"max_position_embeddings": 64, "type_vocab_size": 1}, "mini-inference", "it knows one segment"),
        ({"max_position_embeddings": 64, "type_vocab_size": 1}, "mini-sentiment", None),
    ],
)
def test_tasks_that_do_not_fit_a_backbone_are_refused_when_a_study_is_planned(
    tmp_path: Path, changes: dict[str, Any], task: str, message: str | None
) -> None:
    """Each cell ended with an IndexError, on a device, and only where a batch had an input that long."""
    config, state = bert_state()
    state = {name: tensor for name, tensor in state.items() if "position_emb" not in name and "token_type" not in name}
    config |= changes
    for name, rows in (("position", config["max_position_embeddings"]), ("token_type", config["type_vocab_size"])):
        state[f"bert.embeddings.{name}_embeddings.weight"] = torch.zeros(rows, 16)
    document = parse_study(study(write_folder(tmp_path / "bb", config, state), task), "s.yaml")
    if message is None:
        assert open_grid(document).cells
        return
    with pytest.raises(BadInput, match=r"^own: mine: ") as error:
        open_grid(document)
    assert message in str(error.value)


def test_a_plan_checks_local_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config, state = t5_state(tied=False)
    folder = write_folder(tmp_path / "bb", config, state)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study(folder, "mini-sentiment")))
    assert main(["plan", "study.yaml"]) == 0
    tiny_tokenizer("t5", 51).save(str(folder / "tokenizer.json"))
    assert main(["plan", "study.yaml"]) == 2
    assert f"own: folders.mine: {folder}/tokenizer.json: token 'w47' has id 50" in capsys.readouterr().err
