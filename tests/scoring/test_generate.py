"""Greedy decoding equals Hugging Face's `generate`, and label scores equal plain teacher forcing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from petscale.data.batches import scoring_batches
from petscale.families.registry import FAMILIES
from petscale.scoring.generate import greedy, score_labels

from .conftest import make_examples

pytestmark = pytest.mark.parametrize("t5", [0, 1, 2], indirect=True)

LABELS = ((5, 1), (6, 7, 1), (6, 8, 9, 1))


def _batch(tokens: int = 200, number: int = 1) -> dict[str, torch.Tensor]:
    examples = make_examples(60)
    batch = FAMILIES["t5"].collate(examples, scoring_batches(examples.lengths, tokens)[number])
    del batch["labels"]
    return batch


def _hugging_face(model: Any, batch: dict[str, torch.Tensor], length: int) -> list[list[int]]:
    """Greedy `generate`, without the start token and what follows the end of sequence."""
    found = model.generate(**batch, max_new_tokens=length, do_sample=False, num_beams=1)[:, 1:].tolist()
    return [row[: row.index(1) + 1] if 1 in row else row[:length] for row in found]


@pytest.mark.parametrize("length", [1, 2, 12])
def test_greedy_writes_what_generate_writes(t5: Any, length: int) -> None:
    ended = 0
    for number in range(3):
        batch = _batch(number=number)
        with torch.no_grad():
            opening, written = greedy(t5, **batch, end=1, length=length)
            assert written == _hugging_face(t5, batch, length)
            first = t5(**batch, decoder_input_ids=torch.zeros(len(written), 1, dtype=torch.int64)).logits[:, 0]
        torch.testing.assert_close(opening, first.log_softmax(-1).max(-1).values)
        ended += sum(sequence[-1] == 1 for sequence in written)
    assert length < 12 or ended > 0  # some finish early, so that the batch shrinks


def test_label_scores_are_teacher_forced_sums(t5: Any) -> None:
    batch = _batch()
    with torch.no_grad():
        scores, _ = score_labels(t5, **batch, labels=LABELS, end=1)
        for index, label in enumerate(LABELS):
            targets = torch.tensor([label] * len(scores))
            log_probabilities = t5(**batch, labels=targets).logits.log_softmax(-1)
            wanted = log_probabilities.gather(-1, targets[..., None]).sum((1, 2))
            torch.testing.assert_close(scores[:, index], wanted)


@pytest.mark.parametrize("labels", [LABELS, ((5, 1), (6, 1))])
def test_label_passes_write_what_generate_writes(t5: Any, labels: Any) -> None:
    batch = _batch()
    with torch.no_grad():
        free = _hugging_face(t5, batch, 12)
        # Labels that the model does write, so that both ways through the passes are taken.
        labels = (*labels, tuple(free[0][:3]) if 1 not in free[0][:3] else tuple(free[0][: free[0].index(1) + 1]))
        labels = tuple(label if label[-1] == 1 else (*label, 1) for label in labels)
        _, written = score_labels(t5, **batch, labels=labels, end=1)
        assert written == _hugging_face(t5, batch, max(map(len, labels)))


def test_a_model_that_always_writes_a_label_is_not_decoded_further(t5: Any) -> None:
    class Sure(torch.nn.Module):
        """T5 with its output forced to label 5, end of sequence; counts the passes of the decoder."""

        def __init__(self) -> None:
            super().__init__()
            self.config, self.passes = t5.config, 0

        def get_encoder(self) -> Any:
            return t5.get_encoder()

        def forward(self, **inputs: Any) -> Any:
            self.passes += 1
            output = t5(**inputs)
            for place in range(output.logits.shape[1]):
                wanted = torch.where(inputs["decoder_input_ids"][:, place] == 0, 5, 1)
                output.logits[:, place] = 10.0 * torch.nn.functional.one_hot(wanted, output.logits.shape[-1])
            return output

    model = Sure()
    with torch.no_grad():
        _, written = score_labels(model, **_batch(), labels=((5, 1), (6, 1)), end=1)
    assert {tuple(sequence) for sequence in written} == {(5, 1)}
    assert model.passes == 3  # the start token, and one a label


def test_scores_do_not_depend_on_the_batch(t5: Any) -> None:
    examples = make_examples()
    rows: dict[int, torch.Tensor] = {}
    for tokens in (60, 1000):
        for indices in scoring_batches(examples.lengths, tokens):
            batch = FAMILIES["t5"].collate(examples, np.asarray(indices))
            del batch["labels"]
            with torch.no_grad():
                scores, _ = score_labels(t5, **batch, labels=LABELS, end=1)
            for index, row in zip(indices.tolist(), scores, strict=True):
                torch.testing.assert_close(rows.setdefault(index, row), row, rtol=1e-4, atol=1e-4)
