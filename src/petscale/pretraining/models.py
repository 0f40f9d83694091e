"""Randomly initialised models of the mini family: `transformers` classes with initial weights for small widths."""

from __future__ import annotations

from typing import Any

import torch
from transformers import BertConfig, BertForPreTraining, T5Config, T5ForConditionalGeneration

from petscale.families.family import Form
from petscale.mini.specs import Spec

Model = T5ForConditionalGeneration | BertForPreTraining

EMBEDDING_STD = 0.3
"""T5 initialises embeddings with standard deviation 1, which a few thousand steps of AdamW hardly change."""

MAX_POSITIONS = 64


def new_t5(spec: Spec, vocabulary: int) -> T5ForConditionalGeneration:
    """T5 v1.1 style: gated GELU, no biases, an untied output matrix, no dropout."""
    config = T5Config(
        vocab_size=vocabulary,
        d_model=spec.d_model,
        d_ff=spec.d_ff,
        d_kv=spec.d_kv,
        num_heads=spec.heads,
        num_layers=spec.encoder_layers,
        num_decoder_layers=spec.decoder_layers,
        relative_attention_num_buckets=16,
        relative_attention_max_distance=MAX_POSITIONS,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        tie_word_embeddings=False,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    model = T5ForConditionalGeneration(config)
    # transformers 5 ties all embeddings of a T5 whatever the config says, and unties the output matrix only when it
    # loads one that differs. The config on disk must still say False, or else the loaded model scales its output.
    config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(torch.empty(vocabulary, spec.d_model))
    with torch.no_grad():
        model.shared.weight.normal_(0.0, EMBEDDING_STD)
        # The last layer norm gives hidden states of mean square 1, so the initial logits have standard deviation 1.
        model.lm_head.weight.normal_(0.0, spec.d_model**-0.5)
    return model


def new_bert(spec: Spec, vocabulary: int) -> BertForPreTraining:
    """BERT style: post-norm encoder, pooler, heads for masked words and for the next sentence, no dropout."""
    return BertForPreTraining(
        BertConfig(
            vocab_size=vocabulary,
            hidden_size=spec.d_model,
            intermediate_size=spec.d_ff,
            num_attention_heads=spec.heads,
            num_hidden_layers=spec.encoder_layers,
            max_position_embeddings=MAX_POSITIONS,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            pad_token_id=0,
            initializer_range=spec.d_model**-0.5 / 2,
        )
    )


def new_model(form: Form, spec: Spec, vocabulary: int) -> Any:
    """A randomly initialised model of the form, with `vocabulary` rows in its embedding."""
    return {Form.ENCODER_DECODER: new_t5, Form.ENCODER: new_bert}[form](spec, vocabulary)


def word_scores(output: Any) -> torch.Tensor:
    """Logits of the predicted tokens ``(batch, length, vocabulary)`` from the output of a forward pass."""
    scores: torch.Tensor = output.prediction_logits if hasattr(output, "prediction_logits") else output.logits
    return scores
