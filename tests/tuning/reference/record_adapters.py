"""Records what the adapters library computes with Houlsby's adapters, for tests in an environment without it.

adapters 1.3.0 needs transformers 4.57 and cannot share the project's environment:

    python -m venv /tmp/adapters && /tmp/adapters/bin/pip install adapters==1.3.0 "transformers==4.57.*" torch
    /tmp/adapters/bin/python tests/tuning/reference/record_adapters.py

writes adapters.safetensors beside this file. Weights of both sides follow from their names (`fill`), so only logits and
gradients are recorded.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

FILE = Path(__file__).with_name("adapters.safetensors")
NAME = "houlsby"
BOTTLENECK = 4

T5: dict[str, Any] = {
    "vocab_size": 40,
    "d_model": 16,
    "d_ff": 24,
    "d_kv": 6,
    "num_heads": 3,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 16,
    "feed_forward_proj": "gated-gelu",
    "dropout_rate": 0.0,
    "decoder_start_token_id": 0,
    "tie_word_embeddings": False,
}
BERT: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "max_position_embeddings": 32,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "num_labels": 3,
}


def fill(name: str, shape: Iterable[int]) -> torch.Tensor:
    """A tensor that depends on its name and shape only, float64."""
    shape = tuple(shape)
    steps = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return 0.3 * torch.sin(steps * 0.7 + zlib.crc32(name.encode()) % 1000).reshape(shape)


def batch(family: str) -> dict[str, torch.Tensor]:
    ids = torch.arange(3, 17).reshape(2, 7)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    labels = torch.arange(5, 13).reshape(2, 4) if family == "t5" else torch.tensor([0, 2])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def main() -> None:
    import adapters
    from safetensors.torch import save_file
    from transformers import BertConfig, BertForSequenceClassification, T5Config, T5ForConditionalGeneration

    recorded = {}
    models = {
        "t5": T5ForConditionalGeneration(T5Config(**T5)),
        "bert": BertForSequenceClassification(BertConfig(**BERT)),
    }
    for family, model in models.items():
        adapters.init(model)
        config = adapters.DoubleSeqBnConfig(reduction_factor=16 / BOTTLENECK, non_linearity="gelu_new")
        model.add_adapter(NAME, config=config)
        model.train_adapter(NAME)
        model.double().eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(fill(name, parameter.shape))
        output = model(**batch(family))
        output.loss.backward()
        recorded[f"{family}/logits"] = output.logits.detach().contiguous()
        for name, parameter in model.named_parameters():
            if f".{NAME}." in name:
                recorded[f"{family}/{name}"] = parameter.grad.contiguous()
    save_file(recorded, FILE, metadata={"adapters": adapters.__version__})
    print(f"{FILE}: {len(recorded)} tensors")


if __name__ == "__main__":
    main()
