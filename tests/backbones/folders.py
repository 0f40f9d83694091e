"""Small backbone folders for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertForPreTraining
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5ForConditionalGeneration


def t5_state(*, tied: bool) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Config and tensors of a tiny T5 v1.1 (or, tied, v1.0), as published: the shared matrix once."""
    config = {
        "model_type": "t5",
        "vocab_size": 50,
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 32,
        "num_layers": 2,
        "num_decoder_layers": 1,
        "num_heads": 2,
        "feed_forward_proj": "relu" if tied else "gated-gelu",
        "decoder_start_token_id": 0,
        "tie_word_embeddings": tied,
    }
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(T5Config.from_dict(config))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"):
        del state[name]
    if not tied:
        state["lm_head.weight"] = torch.randn(50, 16)
    return config, state


def bert_state() -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Config and tensors of a tiny BERT with its pre-training heads, named as TensorFlow's conversion does."""
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=20,
    )
    torch.manual_seed(0)
    state = {name: tensor.clone() for name, tensor in BertForPreTraining(config).state_dict().items()}
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in state.items()
        if name not in ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
    }
    return {**config.to_dict(), "model_type": "bert"}, old


def write_folder(folder: Path, config: dict[str, Any], state: dict[str, torch.Tensor]) -> Path:
    """Config, weights and a stand-in for the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
