"""Soft tokens before the encoder's input; batches are unchanged and hold only ids and masks of the real input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from petscale.families.forms.masks import longer

Call = tuple[tuple[Any, ...], dict[str, Any]]
Tokens = Callable[[torch.dtype], Tensor]
"""Function that returns the vectors ``(count, d)`` in the given dtype."""


def insert_tokens(model: Any, module: str, count: int, tokens: Tokens) -> list[Any]:
    """See `petscale.families.family.Family.insert_tokens`; the mask of cross-attention is extended too."""
    return [
        model.get_submodule(module).register_forward_pre_hook(_encoder_input(tokens), with_kwargs=True),
        model.get_submodule("decoder").register_forward_pre_hook(_decoder_memory(count), with_kwargs=True),
    ]


def _encoder_input(tokens: Tokens) -> Any:
    def hook(encoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        call = {**dict(zip(("input_ids", "attention_mask"), args, strict=False)), **kwargs}
        embedded = call.get("inputs_embeds")
        if embedded is None:
            embedded = encoder.embed_tokens(call.pop("input_ids"))
        soft = tokens(embedded.dtype).expand(embedded.shape[0], -1, -1)
        call["inputs_embeds"] = torch.cat([soft, embedded], dim=1)
        call["attention_mask"] = longer(call.get("attention_mask"), soft.shape[1])
        return (), call

    return hook


def _decoder_memory(count: int) -> Any:
    def hook(_decoder: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        mask = kwargs.get("encoder_attention_mask")
        return args, {**kwargs, "encoder_attention_mask": longer(mask, count)}

    return hook
