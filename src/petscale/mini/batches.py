"""Batches for pre-training: documents as token ids, in seeded order, corrupted anew each time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from petscale.mini.corpus import Document
from petscale.mini.objectives import IGNORE, corrupt_spans, mask_words, pad
from petscale.mini.specs import Family
from petscale.mini.words import weight

Batch = dict[str, torch.Tensor]

POOL = 4
"""Batches drawn together and sorted by length, which saves a third of the padding."""

ALONE, STRANGER = 0.15, 0.2
"""Shares of BERT rows with one segment, and with a second segment from another document."""


HIDDEN = 0.25
"""Chance that a word of weight 1 is hidden."""


class Batches:
    """Documents of one corpus as batches for one family.

    Args:
        family: which objective.
        tokenizer: of the same family.
        texts: the documents.
        seed: of order and corruption.
    """

    def __init__(
        self, family: Family, tokenizer: PreTrainedTokenizerFast, texts: list[Document], seed: int
    ) -> None:
        self.family = family
        self.tokenizer = tokenizer
        self.rng = np.random.default_rng(seed)
        clauses = tokenizer([clause for text in texts for clause in text], add_special_tokens=False)["input_ids"]
        words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        self.chances = HIDDEN * np.array([weight(word) for word in words])
        rest = iter(clauses)
        self.texts = [[next(rest) for _ in text] for text in texts]

    def once(self, size: int) -> Iterator[Batch]:
        """All documents in their order."""
        for start in range(0, len(self.texts), size):
            yield self._batch(list(range(start, min(start + size, len(self.texts)))))

    def stream(self, size: int) -> Iterator[Batch]:
        """Documents in random order, epoch after epoch, without end; lengths in a batch are alike."""
        while True:
            order = self.rng.permutation(len(self.texts)).tolist()
            for start in range(0, len(order) - POOL * size + 1, POOL * size):
                pool = sorted(order[start : start + POOL * size], key=lambda i: sum(map(len, self.texts[i])))
                for index in self.rng.permutation(POOL).tolist():
                    yield self._batch(pool[index * size : (index + 1) * size])

    def _batch(self, chosen: list[int]) -> Batch:
        return self._spans(chosen) if self.family == "t5" else self._pairs(chosen)

    def _spans(self, chosen: list[int]) -> Batch:
        ids = pad([_joined(self.texts[index]) for index in chosen], 0)
        first = self.tokenizer.convert_tokens_to_ids("<extra_id_0>")
        inputs, labels = (torch.from_numpy(array) for array in corrupt_spans(ids, self.rng, self.chances, first))
        return {"input_ids": inputs, "attention_mask": (inputs != 0).long(), "labels": labels}

    def _pairs(self, chosen: list[int]) -> Batch:
        """Rows `[CLS] A [SEP] B [SEP]`, a document cut between two clauses; B may be a stranger's."""
        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        rows, first_lengths, following = [], [], []
        for index in chosen:
            text, draw = self.texts[index], self.rng.random()
            if draw < ALONE:
                head, tail, follows = text, [], IGNORE
            else:
                cut = 1 + int(self.rng.integers(len(text) - 1))
                head, tail, follows = text[:cut], text[cut:], 0
                if draw < ALONE + STRANGER:
                    other = self.texts[int(self.rng.integers(len(self.texts)))]
                    tail, follows = other[1 + int(self.rng.integers(len(other) - 1)) :], 1
            first = [cls, *_joined(head), sep]
            rows.append([*first, *_joined(tail), sep] if tail else first)
            first_lengths.append(len(first))
            following.append(follows)
        ids = pad(rows, 0)
        words = (self.tokenizer.unk_token_id + 1, len(self.tokenizer))
        inputs, labels = mask_words(ids, self.rng, self.chances, self.tokenizer.mask_token_id, words)
        types = (np.arange(ids.shape[1]) >= np.array(first_lengths)[:, None]) & (ids != 0)
        return {
            "input_ids": torch.from_numpy(inputs),
            "token_type_ids": torch.from_numpy(types.astype(np.int64)),
            "attention_mask": torch.from_numpy((ids != 0).astype(np.int64)),
            "labels": torch.from_numpy(labels),
            "next_sentence_label": torch.tensor(following),
        }


def _joined(clauses: list[list[int]]) -> list[int]:
    return list(chain.from_iterable(clauses))
