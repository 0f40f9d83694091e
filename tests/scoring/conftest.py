"""Tiny models with random weights, and examples for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertForSequenceClassification
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5ForConditionalGeneration

from petscale.artefacts.ragged import Ragged
from petscale.data.tokens import Examples

VOCABULARY = 40


@pytest.fixture
def t5(request: pytest.FixtureRequest) -> Any:
    """A T5 v1.1 whose output is spread enough to end at unequal lengths; indirect parameters are seeds."""
    torch.manual_seed(getattr(request, "param", 0))
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
        tie_word_embeddings=False,
    )
    model = T5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.5)
        model.lm_head.weight = torch.nn.Parameter(torch.randn(VOCABULARY, 16))
        model.lm_head.weight[1] *= 2  # end of sequence comes often
    return model


@pytest.fixture
def bert() -> Any:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        num_labels=2,
    )
    return BertForSequenceClassification(config).eval()


def make_examples(count: int = 24, *, family: str = "t5", labels: Any = ((5, 1), (6, 7, 1)), seed: int = 0) -> Examples:
    """Random sources of unequal length; label words are `w0`, `w1`, ...; references are the words."""
    rng = np.random.default_rng(seed)
    source = [[*rng.integers(3, VOCABULARY, rng.integers(1, 20)).tolist(), 1] for _ in range(count)]
    words = [f"w{index}" for index in range(len(labels))]
    label = rng.integers(0, max(len(labels), 1), count)
    references = [words[index] if words else "t5 t9" for index in label]
    arrays: dict[str, Any] = {
        "source": Ragged.of(source, np.uint16),
        "id": Ragged.of_texts([f"test-{index + 1}" for index in range(count)]),
        "reference": Ragged.of_texts(references),
    }
    if family == "t5":
        arrays["target"] = Ragged.of([labels[index] if words else [5, 9, 1] for index in label], np.uint16)
    flat: dict[str, Any] = {
        "label": label if words else np.full(count, -1),
        "reference_count": np.ones(count, np.int32),
    }
    if family == "bert":
        flat["first"] = np.array([len(ids) for ids in source], np.int32)
    for name, array in arrays.items():
        flat[name], flat[f"{name}.offsets"] = array.values, array.offsets
    manifest = {
        "label_words": words,
        "label_tokens": labels if family == "t5" else [],
        "target_length": max(map(len, labels), default=8),
        "pad": 0,
        "end": 1,
    }
    return Examples(flat, manifest)


def spell(ids: Any) -> str:
    """A decoder for tests: `t5` for token 5; special tokens 0 and 1 are left out."""
    return " ".join(f"t{int(token)}" for token in ids if int(token) > 1)
