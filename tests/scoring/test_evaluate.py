"""Evaluating a split gives the right scores and answers, and leaves the model unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from petscale.families.registry import FAMILIES
from petscale.scoring.evaluate import evaluate
from petscale.scoring.metrics import mean, rouge, token_f1
from petscale.tasks import TASKS

from .conftest import make_examples, spell

SST2, MNLI, NQ, SAMSUM = (TASKS[name] for name in ("sst2", "mnli", "nq_open", "samsum"))


def _generated(model: Any, examples: Any, length: int) -> list[str]:
    """What Hugging Face's `generate` writes, one example at a time."""
    texts = []
    for index in range(len(examples)):
        batch = FAMILIES["t5"].collate(examples, np.array([index]))
        del batch["labels"]
        row = model.generate(**batch, max_new_tokens=length, do_sample=False, num_beams=1)[0, 1:].tolist()
        texts.append(spell(row[: row.index(1)] if 1 in row else row[:length]))
    return texts


def test_t5_classification(t5: Any) -> None:
    examples = make_examples(labels=((5, 1), (6, 7, 1)))
    result = evaluate(t5, examples, SST2, family=FAMILIES["t5"], labels="words", decode=spell, tokens_per_batch=100)
    texts = _generated(t5, examples, 3)
    assert result.examples["prediction"] == texts
    right = [text == ("t5", "t6 t7")[label] for text, label in zip(texts, examples.label, strict=True)]
    assert result.scores["accuracy"] == mean(np.array(right, float))
    assert result.examples["score"] == [float(value) for value in right]
    assert result.examples["id"][:2] == ["test-1", "test-2"]
    assert result.examples["reference"] == [("negative", "positive")[label] for label in examples.label]
    scores = []
    with torch.no_grad():
        for index in range(len(examples)):
            batch = FAMILIES["t5"].collate(examples, np.array([index]))
            row = []
            for label in ((5, 1), (6, 7, 1)):
                logits = t5(input_ids=batch["input_ids"], labels=torch.tensor([label])).logits.log_softmax(-1)
                row.append(sum(logits[0, place, token].item() for place, token in enumerate(label)))
            scores.append(row)
    ranked = np.array(scores).argmax(1) == examples.label
    assert result.scores["rank_accuracy"] == mean(ranked.astype(float))
    assert result.finite


def test_t5_answers(t5: Any) -> None:
    examples = make_examples(labels=())
    result = evaluate(t5, examples, NQ, family=FAMILIES["t5"], labels="words", decode=spell, tokens_per_batch=100)
    texts = _generated(t5, examples, 8)
    assert result.examples["prediction"] == texts
    assert result.scores["f1"] == mean([token_f1(text, ["t5 t9"]) for text in texts])
    assert set(result.scores) == {"em", "f1"}


def test_t5_summaries(t5: Any) -> None:
    examples = make_examples(labels=())
    result = evaluate(t5, examples, SAMSUM, family=FAMILIES["t5"], labels="words", decode=spell)
    wanted = [rouge(text, "t5 t9")["rougeL"] for text in _generated(t5, examples, 8)]
    assert result.examples["score"] == pytest.approx(wanted)
    assert set(result.scores) == {"rouge1", "rouge2", "rougeL"}


def test_bert(bert: Any) -> None:
    examples = make_examples(family="bert", labels=((), ()))
    result = evaluate(bert, examples, SST2, family=FAMILIES["bert"], labels="words", tokens_per_batch=100)
    with torch.no_grad():
        batches = [FAMILIES["bert"].collate(examples, np.array([index])) for index in range(len(examples))]
        choices = [int(bert(**batch).logits.argmax()) for batch in batches]
    assert result.examples["prediction"] == [("negative", "positive")[choice] for choice in choices]
    assert result.scores == {"accuracy": mean((np.array(choices) == examples.label).astype(float))}
    assert result.tokens == int(examples.lengths.sum())


def test_a_head_of_another_size_is_scored_as_it_answers(bert: Any) -> None:
    # A two-way head on MNLI (zero-shot transfer): its units are 0 and 1, unit 2 can never be chosen.
    examples = make_examples(family="bert", labels=((), (), ()))
    result = evaluate(bert, examples, MNLI, family=FAMILIES["bert"], labels="unified")
    assert set(result.examples["prediction"]) <= {"0", "1"}
    assert set(result.examples["reference"]) == {"0", "1", "2"}
    assert all(
        score == 0
        for score, reference in zip(result.examples["score"], result.examples["reference"], strict=True)
        if reference == "2"
    )


def test_tokens_are_real_ones(t5: Any) -> None:
    examples = make_examples(labels=())
    result = evaluate(t5, examples, NQ, family=FAMILIES["t5"], labels="words", decode=spell)
    written = sum(len(text.split()) + 1 for text in result.examples["prediction"] if len(text.split()) < 8)
    written += sum(8 for text in result.examples["prediction"] if len(text.split()) == 8)
    # Token 0 (padding) may be written and is not spelled out, so this counts at least those that are.
    assert result.tokens >= int(examples.lengths.sum()) + written
    assert result.tokens <= int(examples.lengths.sum()) + 8 * len(examples)
    assert result.seconds > 0


def test_a_diverged_model_is_told(t5: Any) -> None:
    with torch.no_grad():
        t5.lm_head.weight.fill_(float("nan"))
    for labels, task in ((((5, 1), (6, 1)), SST2), ((), NQ)):
        result = evaluate(t5, make_examples(labels=labels), task, family=FAMILIES["t5"], labels="words", decode=spell)
        assert not result.finite
        assert result.scores[task.metric].value == 0.0


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(t5: Any, training: bool) -> None:
    t5.train(training)
    before = {name: value.clone() for name, value in t5.state_dict().items()}
    evaluate(t5, make_examples(), SST2, family=FAMILIES["t5"], labels="words", decode=spell)
    assert t5.training is training
    assert all(torch.equal(value, before[name]) for name, value in t5.state_dict().items())
    assert all(parameter.grad is None for parameter in t5.parameters())


def test_t5_is_not_scored_without_its_decoder(t5: Any) -> None:
    with pytest.raises(ValueError, match="`decode` is needed"):
        evaluate(t5, make_examples(), SST2, family=FAMILIES["t5"], labels="words")
