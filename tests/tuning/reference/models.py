"""The backbones of the recordings in this folder, as the project's version of transformers makes them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, T5Config, T5ForConditionalGeneration

from .record_adapters import BERT, T5, fill


def model_of(family: str) -> Any:
    """A tiny model in float64 whose weights follow from their names."""
    if family == "bert":
        model: Any = BertForSequenceClassification(BertConfig(**BERT))
    else:
        model = T5ForConditionalGeneration(T5Config(**T5))
        model.lm_head.weight = nn.Parameter(torch.empty_like(model.lm_head.weight))
    model.double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(fill(name, parameter.shape))
    return model
