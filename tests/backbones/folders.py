"""Small backbone folders for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertForPreTraining
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5ForConditionalGeneration


def t5_state(*, tied: bool, vocab: int = 50) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Config and tensors of a tiny T5 v1.1 (or, tied, v1.0), as published: the shared matrix once."""
    config = {
        "model_type": "t5",
        "vocab_size": vocab,
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
        state["lm_head.weight"] = torch.randn(vocab, 16)
    return config, state


def bert_state(*, vocab: int = 50) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Config and tensors of a tiny BERT with its pre-training heads, named as TensorFlow's conversion does."""
    config = BertConfig(
        vocab_size=vocab,
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


def tiny_tokenizer(family: str, size: int = 50) -> Tokenizer:
    """A word-level tokenizer with the special tokens of a family."""
    special = {"t5": ["<pad>", "</s>", "<unk>"], "bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]}[family]
    words = [f"w{index}" for index in range(size - len(special))]
    unknown = next(token for token in special if "unk" in token.lower())
    vocabulary = {token: index for index, token in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    single, pair = ("$A </s>", None) if family == "t5" else ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
    ids = [(token, index) for token, index in vocabulary.items() if token in ("</s>", "[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)
    return tokenizer


def write_folder(folder: Path, config: dict[str, Any], state: dict[str, torch.Tensor]) -> Path:
    """Config, weights and a tokenizer of 50 tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    tiny_tokenizer(config["model_type"]).save(str(folder / "tokenizer.json"))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
