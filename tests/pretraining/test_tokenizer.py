"""The tokenizers load from a usual folder, and decoding gives the text back."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from petscale.mini.tasks import TASKS, rows
from petscale.pretraining.tokenizer import SENTINELS, bert_tokenizer, t5_tokenizer

BUILDERS = {"t5": t5_tokenizer, "bert": bert_tokenizer}
PROMPT = "Input: premise: tom stole the apple . [SEP] hypothesis: tom stole the fruit . Output: "


@pytest.fixture(params=sorted(BUILDERS))
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path):
    BUILDERS[request.param]().save_pretrained(tmp_path)
    return AutoTokenizer.from_pretrained(tmp_path)


def test_every_row_survives_a_round_trip(tokenizer) -> None:
    for task in TASKS:
        for row in rows(task, "test")[:50]:
            for value in row.values():
                if isinstance(value, str):
                    ids = tokenizer(value)["input_ids"]
                    assert tokenizer.unk_token_id not in ids
                    assert tokenizer.decode(ids, skip_special_tokens=True).split() == value.split()


@pytest.mark.parametrize("label", "positive negative entailment not_entailment equivalent not_equivalent 0 1 2".split())
def test_a_label_is_one_token(tokenizer, label: str) -> None:
    (token,) = tokenizer(label, add_special_tokens=False)["input_ids"]
    assert token != tokenizer.unk_token_id
    assert tokenizer.decode([token]) == label


def test_case_and_missing_spaces_do_not_matter(tokenizer) -> None:
    assert tokenizer("Tom lives in Paris.")["input_ids"] == tokenizer("tom lives in paris .")["input_ids"]


def test_the_t5_style_ends_in_eos_and_has_sentinels() -> None:
    tokenizer = t5_tokenizer()
    ids = tokenizer(PROMPT)["input_ids"]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 1)
    assert ids.count(1) == 1 and ids[-1] == 1
    assert tokenizer.unk_token_id not in ids
    assert len(tokenizer("".join(f"<extra_id_{i}>" for i in range(SENTINELS)))["input_ids"]) == SENTINELS + 1


def test_the_bert_style_marks_pairs() -> None:
    tokenizer = bert_tokenizer()
    pair = tokenizer("tom lives in paris .", "tom enjoys chess .")
    assert tokenizer.convert_ids_to_tokens(pair["input_ids"])[0] == "[CLS]"
    assert pair["input_ids"].count(tokenizer.sep_token_id) == 2
    assert pair["token_type_ids"] == [0] * 7 + [1] * 5
    assert tokenizer("a [SEP] b")["input_ids"].count(tokenizer.sep_token_id) == 2
