"""BERT's false second segments are labelled as false, and their replaced word is never a target of the loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from petscale.families.family import Form
from petscale.mini.corpus import AGREEING, Document, documents
from petscale.mini.words import classes
from petscale.pretraining import batches
from petscale.pretraining.batches import Batches
from petscale.pretraining.objectives import IGNORE
from petscale.pretraining.tokenizer import bert_tokenizer

TEXT: Document = ("the home of anna is in oslo .", "anna works as a baker .")


def rows(texts: list[Document], **shares: float) -> batches.Batch:
    with pytest.MonkeyPatch.context() as patch:
        for name, share in {"ALONE": 0.0, "STRANGER": 0.0, "TAMPERED": 0.0, "BARE": 0.0, **shares}.items():
            patch.setattr(batches, name, share)
        made = Batches(Form.ENCODER, bert_tokenizer(), texts, seed=3)
        made.chances = np.ones_like(made.chances)
        return next(made.once(len(texts)))


def words_of(ids: torch.Tensor) -> list[str]:
    return bert_tokenizer().convert_ids_to_tokens(ids.tolist())


def test_true_segments_are_labelled_zero() -> None:
    assert rows(documents(200, "train"))["next_sentence_label"].eq(0).all()


def test_a_replaced_word_is_of_the_same_list_labelled_one_and_never_predicted() -> None:
    batch = rows([TEXT] * 200, TAMPERED=1.0)
    truth = ["[CLS]", *TEXT[0].split(), "[SEP]", *TEXT[1].split(), "[SEP]"]
    replaced = 0
    for ids, labels, label in zip(batch["input_ids"], batch["labels"], batch["next_sentence_label"], strict=True):
        shown = [i for i, (word, wanted) in enumerate(zip(truth, labels.tolist(), strict=True))
                 if wanted == IGNORE and word not in ("[CLS]", "[SEP]")]  # fmt: skip
        if label == 0:  # The word drawn in its place was the same one.
            assert shown == []
            continue
        (place,) = shown
        word = words_of(ids)[place]
        assert word != truth[place] and any({word, truth[place]} <= set(group) for group in classes())
        assert place > truth.index("[SEP]")
        replaced += 1
    assert replaced > 150


def test_a_segment_without_its_connective_keeps_the_rest() -> None:
    texts: list[Document] = [("anna hid the cat ,", f"{opening} anna hid the animal .") for opening in AGREEING]
    batch = rows(texts, BARE=1.0)
    expected = ["anna", "hid", "the", "animal", ".", "[SEP]"]
    for labels in batch["labels"]:
        predicted = [word for word, label in zip(words_of(labels.clamp(min=0)), labels, strict=True) if label != IGNORE]
        assert predicted[-5:] == expected[:-1]
        assert not {word for opening in AGREEING for word in opening.split()} & set(predicted[5:])
