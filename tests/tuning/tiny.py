"""Tiny random backbones of both families."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, T5Config, T5ForConditionalGeneration

from petscale.families.registry import shape_from_config
from petscale.families.shape import BackboneShape
from petscale.tuning.registry import METHODS, make_plan

torch.set_num_threads(1)


@dataclass
class Tiny:
    """A small model, its shape and a padded batch."""

    model: Any
    shape: BackboneShape
    batch: dict[str, torch.Tensor]

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        return {name: value for name, value in self.batch.items() if name != "labels"}

    def logits(self) -> torch.Tensor:
        with torch.no_grad():
            return self.model(**self.batch).logits


def tiny_t5(dtype: torch.dtype = torch.float32, *, tied: bool = False, target: int = 5) -> Tiny:
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=60,
        d_model=16,
        d_ff=24,
        d_kv=6,
        num_heads=3,
        num_layers=2,
        num_decoder_layers=2,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=16,
        feed_forward_proj="relu" if tied else "gated-gelu",
        dropout_rate=0.0,
        decoder_start_token_id=0,
        initializer_factor=0.5,
    )
    model = T5ForConditionalGeneration(config)
    names = {"shared.weight"}
    if not tied:  # as transformers unties at load where a checkpoint has both matrices
        model.lm_head.weight = nn.Parameter(torch.randn(60, 16) * 0.3)
        names.add("lm_head.weight")
    model.generation_config.eos_token_id = None  # a tiny random model must not stop early
    shape = shape_from_config(config.to_dict(), names)
    return Tiny(_still(model, dtype), shape, _batch(torch.randint(3, 60, (2, target))))


def tiny_bert(dtype: torch.dtype = torch.float32) -> Tiny:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        intermediate_size=24,
        num_attention_heads=2,
        num_hidden_layers=2,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=3,
        initializer_range=0.3,
    )
    model = BertForSequenceClassification(config)
    batch = _batch(torch.tensor([0, 2]))
    batch["token_type_ids"] = torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 0, 0]])
    return Tiny(_still(model, dtype), shape_from_config(config.to_dict()), batch)


def _batch(labels: torch.Tensor) -> dict[str, torch.Tensor]:
    ids = torch.randint(3, 60, (2, 7))
    mask = torch.ones_like(ids)
    ids[1, 5:], mask[1, 5:] = 0, 0
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def _still(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    return model.to(dtype).eval().requires_grad_(False)


TINY: dict[str, Callable[..., Tiny]] = {
    "t5": tiny_t5,
    "t5-tied": lambda *args, **kwargs: tiny_t5(*args, tied=True, **kwargs),
    "bert": tiny_bert,
}


SMALL: dict[str, dict[str, Any]] = {
    "prompt": {"tokens": 4},
    "prompt-50": {"tokens": 3},
    "adapter": {"bottleneck": 3},
    "houlsby": {"reduction": 5},
    "pfeiffer": {"reduction": 5},
    "prefix-flat": {"tokens": 3},
    "prefix": {"tokens": 3, "middle": 5},
    "mam": {"tokens": 3, "middle": 5, "reduction": 4},
    "unipelt": {"tokens": 3, "middle": 5, "rank": 2, "reduction": 5},
}


def small_plan(shape: BackboneShape, method: str, **changes: Any) -> Any:
    """A plan with a budget and options that fit a tiny backbone."""
    options = SMALL.get(method)
    budget = 150 if METHODS[method].takes_budget else None
    return make_plan(shape, method, **{"budget": budget, "options": options, **changes})


def methods_for(shape: BackboneShape) -> list[str]:
    return [name for name in METHODS if not (shape.family == "bert" and name == "bitfit-t5-xxl")]


def randomise(delta: Any, scale: float = 0.1) -> None:
    """Move every trained entry off its start, so that nothing passes by being zero."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in delta.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter += scale * noise.to(parameter.dtype)
    delta.after_step()
