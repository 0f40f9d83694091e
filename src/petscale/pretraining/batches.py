"""Batches for pre-training: documents as token ids, in seeded random order, with new corruption each time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from petscale.families.family import Form
from petscale.mini.corpus import AGREEING, Document
from petscale.mini.words import classes, weight
from petscale.pretraining.objectives import IGNORE, corrupt_spans, mask_words, pad

Batch = dict[str, torch.Tensor]

POOL = 4
"""Number of batches that are drawn together and sorted by length, which saves a third of the padding."""

ALONE, STRANGER, TAMPERED, BARE = 0.1, 0.1, 0.4, 0.5
"""Shares of BERT rows: those with one segment; those whose second segment is from another document; those whose true
second segment has one word replaced; and, among second segments that follow from the first, those without the
connective that says so."""

HIDDEN = 0.25
"""Probability that a word of weight 1 is hidden."""


class Batches:
    """Documents of one corpus as batches for one form of model.

    Args:
        form: form of the model; an encoder-decoder learns corrupted spans, an encoder masked words and the next
            sentence.
        tokenizer: tokenizer of the model.
        texts: the documents.
        seed: seed of order and corruption.
    """

    def __init__(self, form: Form, tokenizer: PreTrainedTokenizerFast, texts: list[Document], seed: int) -> None:
        self._batch = {Form.ENCODER_DECODER: self._spans, Form.ENCODER: self._pairs}[form]
        self.tokenizer = tokenizer
        self.rng = np.random.default_rng(seed)
        clauses = tokenizer([clause for text in texts for clause in text], add_special_tokens=False)["input_ids"]
        words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        self.chances = HIDDEN * np.array([weight(word) for word in words])
        self.alike: dict[int, list[int]] = {}
        for group in classes():
            tokens = [int(token) for token in tokenizer.convert_tokens_to_ids(list(group))]
            self.alike |= dict.fromkeys(tokens, tokens)
        self.agreeing = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in AGREEING]
        rest = iter(clauses)
        self.texts = [[next(rest) for _ in text] for text in texts]

    def once(self, size: int) -> Iterator[Batch]:
        """Yield batches of all documents once, in their order."""
        for start in range(0, len(self.texts), size):
            yield self._batch(list(range(start, min(start + size, len(self.texts)))))

    def stream(self, size: int) -> Iterator[Batch]:
        """Yield batches in random order, epoch after epoch, without end; documents of a batch have similar lengths."""
        while True:
            order = self.rng.permutation(len(self.texts)).tolist()
            for start in range(0, len(order) - POOL * size + 1, POOL * size):
                pool = sorted(order[start : start + POOL * size], key=lambda i: sum(map(len, self.texts[i])))
                for index in self.rng.permutation(POOL).tolist():
                    yield self._batch(pool[index * size : (index + 1) * size])

    def _spans(self, chosen: list[int]) -> Batch:
        ids = pad([_joined(self.texts[index]) for index in chosen], 0)
        first = self.tokenizer.convert_tokens_to_ids("<extra_id_0>")
        inputs, labels = (torch.from_numpy(array) for array in corrupt_spans(ids, self.rng, self.chances, first))
        return {"input_ids": inputs, "attention_mask": (inputs != 0).long(), "labels": labels}

    def _pairs(self, chosen: list[int]) -> Batch:
        """Make rows `[CLS] A [SEP] B [SEP]` by cutting documents between two clauses; label 1 if B is a false one.

        In a small language a B from another document is too easy to recognise, because its names differ. Therefore most
        false second segments are the true one with one word replaced (compare Clark et al. 2020).
        """
        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        rows, first_lengths, following, replaced = [], [], [], []
        for index in chosen:
            text, draw = self.texts[index], self.rng.random()
            head, tail, label, place = _joined(text), list[int](), IGNORE, None
            if draw >= ALONE:
                cut = 1 + int(self.rng.integers(len(text) - 1))
                head, tail, label = _joined(text[:cut]), _joined(text[cut:]), 0
                if draw < ALONE + STRANGER:
                    other = self.texts[int(self.rng.integers(len(self.texts)))]
                    tail, label = _joined(other[1 + int(self.rng.integers(len(other) - 1)) :]), 1
                elif self.rng.random() < BARE:
                    tail = self._without_opening(tail)
                if ALONE + STRANGER <= draw < ALONE + STRANGER + TAMPERED:
                    place = self._replace_one(tail)
                    label = int(place is not None)
            first = [cls, *head, sep]
            rows.append([*first, *tail, sep] if tail else first)
            first_lengths.append(len(first))
            following.append(label)
            replaced.append(-1 if place is None else len(first) + place)
        ids = pad(rows, 0)
        places = np.arange(ids.shape[1])
        words = (self.tokenizer.unk_token_id + 1, len(self.tokenizer))
        false = places == np.array(replaced)[:, None]
        inputs, labels = mask_words(ids, self.rng, self.chances, self.tokenizer.mask_token_id, words, false)
        types = (places >= np.array(first_lengths)[:, None]) & (ids != 0)
        return {
            "input_ids": torch.from_numpy(inputs),
            "token_type_ids": torch.from_numpy(types.astype(np.int64)),
            "attention_mask": torch.from_numpy((ids != 0).astype(np.int64)),
            "labels": torch.from_numpy(labels),
            "next_sentence_label": torch.tensor(following),
        }

    def _replace_one(self, tail: list[int]) -> int | None:
        """Replace one content word of `tail` by another of its list; return its index, or None if nothing changed."""
        places = [place for place, token in enumerate(tail) if token in self.alike]
        if not places:
            return None
        place = places[int(self.rng.integers(len(places)))]
        group = self.alike[tail[place]]
        old, tail[place] = tail[place], group[int(self.rng.integers(len(group)))]
        return place if tail[place] != old else None

    def _without_opening(self, tail: list[int]) -> list[int]:
        for opening in self.agreeing:
            if tail[: len(opening)] == opening:
                return tail[len(opening) :]
        return tail


def _joined(clauses: list[list[int]]) -> list[int]:
    return list(chain.from_iterable(clauses))
