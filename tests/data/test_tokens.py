"""Loading a token set checks checksums and format, and imports few modules."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from petscale.artefacts.seal import sealed, unsealed
from petscale.data.prepare import prepare
from petscale.data.sources import MiniSource
from petscale.data.tokenize import tokenize
from petscale.data.tokens import MANIFEST, load_tokens
from petscale.errors import BadInput
from petscale.families.registry import FAMILIES
from petscale.tasks import TASKS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tokens of mini-inference for T5."""
    from petscale.pretraining.tokenizer import t5_tokenizer

    t5_tokenizer().save_pretrained(tmp_path / "tokenizer")
    task = TASKS["mini-inference"]
    prepare(task, MiniSource(), tmp_path / "rows", dev_size=10, max_train=30, max_test=20)
    tokenize(tmp_path / "rows", task, tmp_path / "tokenizer", FAMILIES["t5"], tmp_path / "tokens", labels="words")
    return tmp_path / "tokens"


def _rewrite(folder: Path, **changes: object) -> None:
    """Change keys of the manifest, and its seal with them."""
    document = unsealed(json.loads((folder / MANIFEST).read_text()), folder / MANIFEST)
    (folder / MANIFEST).write_text(json.dumps(sealed({**document, **changes})))


def test_a_changed_file_is_refused(folder: Path) -> None:
    path = folder / "dev.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    tokens = load_tokens(folder)
    assert len(tokens.split("train")) == 30
    assert tokens.split("train") is tokens.split("train")
    with pytest.raises(BadInput, match=r"dev\.safetensors: not the file that tokens\.json describes"):
        tokens.split("dev")


def test_a_missing_file_and_an_unknown_split_are_named(folder: Path) -> None:
    (folder / "test.safetensors").unlink()
    with pytest.raises(BadInput, match=r"test\.safetensors: cannot be read"):
        load_tokens(folder).split("test")
    with pytest.raises(BadInput, match=r"tokens\.json: no split 'validation'; there are dev, test, train"):
        load_tokens(folder).split("validation")


def test_a_manifest_of_another_format_is_refused(folder: Path) -> None:
    _rewrite(folder, format=0)
    with pytest.raises(BadInput, match=r"tokens\.json: key format: 0, not 1"):
        load_tokens(folder)
    (folder / MANIFEST).write_text("{")
    with pytest.raises(BadInput, match=r"tokens\.json: not a readable manifest"):
        load_tokens(folder)


def test_further_test_sets_are_told_apart(folder: Path) -> None:
    assert load_tokens(folder).extra == []
    digests = load_tokens(folder).manifest["sha256"]
    _rewrite(folder, sha256={**digests, "mismatched": digests["test"]})
    assert load_tokens(folder).extra == ["mismatched"]


def test_training_s_way_to_its_tokens_imports_no_data_library() -> None:
    heavy = {"datasets", "pandas", "pyarrow", "transformers", "huggingface_hub", "rouge_score", "tokenizers"}
    code = (
        "import sys, petscale.data.batches, petscale.data.decode, petscale.data.tokens, petscale.scoring.evaluate;"
        f"print(*sorted({heavy} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
