"""Special tokens in a text are read as plain text, and are counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from petscale.data.prepare import prepare
from petscale.data.special import open_up
from petscale.data.tokenize import SPECIAL, tokenize
from petscale.data.tokens import load_tokens
from petscale.families.registry import lookup
from petscale.tasks import TASKS

from .conftest import Write, reviews

TEXTS = ["good [SEP] bad", "x </s> y", "<pad>", "the <extra_id_0> end", "[CLS] [MASK] [UNK]", "a </s>"]


def folder_of(shared: Path, family: str) -> Path:
    return shared / "tokenizers" / ("tokenizer-t5" if family == "t5" else "tokenizer-bert-uncased")


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_no_text_becomes_a_special_id(local: Write, shared: Path, tmp_path: Path, family: str) -> None:
    """`</s>` in a review ended T5's source in its middle, and `[SEP]` made three segments of BERT's two."""
    rows = [{"sentence1": text, "sentence2": f"h{n} {text}", "label": n % 2} for n, text in enumerate(TEXTS)]
    source = local("rte", train=rows, validation=[{"sentence1": "v", "sentence2": "w", "label": n} for n in (0, 1)])
    prepare(TASKS["rte"], source, tmp_path / "data", dev_size=2)
    folder = folder_of(shared, family)
    tokenize(tmp_path / "data", TASKS["rte"], folder, lookup(family), tmp_path / "tokens", labels="words")
    tokens = load_tokens(tmp_path / "tokens")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    special = {id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    for split in ("train", "dev"):
        examples = tokens.split(split)
        for ids in (examples.source[index].tolist() for index in range(len(examples))):
            names = [tokenizer.id_to_token(id) for id in ids if id in special]
            # T5 has no piece for "<", so that character is unknown; it is not the token <unk> that a text wrote.
            expected = ["</s>"] if family == "t5" else ["[CLS]", "[SEP]", "[SEP]"]
            assert [name for name in names if name != "<unk>"] == expected
    counted = sum(counts.get(SPECIAL, 0) for counts in tokens.manifest["told"].values())
    assert counted == (4 if family == "t5" else 2)


def test_bert_reads_them_as_the_plain_pieces_that_they_are(shared: Path) -> None:
    """The reference is the tokenizer itself with the search for special tokens switched off."""
    tokenizer = Tokenizer.from_file(str(folder_of(shared, "bert") / "tokenizer.json"))
    columns = {name: list(TEXTS) for name in ("text_a", "text_b", "source", "target", "target_unified")}
    opened, _ = open_up(tokenizer, TASKS["rte"], columns)
    ours = [tokenizer.encode(text).ids for text in opened["text_a"]]
    tokenizer.encode_special_tokens = True
    assert ours == [tokenizer.encode(text).ids for text in TEXTS]


def test_the_template_keeps_its_own_token(root: Path) -> None:
    """The sources of pairs have the word [SEP] from the template; that of the texts is not the template's."""
    tokenizer = Tokenizer.from_file(str(root / "ladders" / "mini-bert-small" / "tokenizer.json"))
    columns = {name: ["a [SEP] b"] for name in ("text_a", "text_b", "source", "target", "target_unified")}
    opened, count = open_up(tokenizer, TASKS["rte"], columns)
    assert (opened["source"], opened["text_a"], count) == (["a [SEP] b"], ["a [ SEP] b"], 1)


def test_ordinary_rows_leave_no_word(local: Write, shared: Path, tmp_path: Path) -> None:
    source = local("sst2", train=reviews(8), validation=reviews(4, first=20))
    prepare(TASKS["sst2"], source, tmp_path / "data", dev_size=4)
    folder = folder_of(shared, "t5")
    tokenize(tmp_path / "data", TASKS["sst2"], folder, lookup("t5"), tmp_path / "tokens", labels="words")
    assert "told" not in json.loads((tmp_path / "tokens" / "tokens.json").read_bytes())
