"""Soft tokens after [CLS]; batches are unchanged and hold only ids, masks and segments of the real input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from petscale.errors import BadInput
from petscale.families.forms.masks import longer

Call = tuple[tuple[Any, ...], dict[str, Any]]
Tokens = Callable[[torch.dtype], Tensor]
"""Function that returns the vectors ``(count, d)`` in the given dtype."""


def insert_tokens(model: Any, module: str, count: int, tokens: Tokens) -> list[Any]:
    """See `petscale.families.family.Family.insert_tokens`."""
    return [model.get_submodule(module).register_forward_pre_hook(_input(tokens), with_kwargs=True)]


def _input(tokens: Tokens) -> Any:
    def hook(bert: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        call = {**dict(zip(("input_ids", "attention_mask", "token_type_ids"), args, strict=False)), **kwargs}
        embedded = call.get("inputs_embeds")
        if embedded is None:
            embedded = bert.embeddings.word_embeddings(call.pop("input_ids"))
        soft = tokens(embedded.dtype).expand(embedded.shape[0], -1, -1)
        count, real, room = soft.shape[1], embedded.shape[1], bert.config.max_position_embeddings
        if count + real > room:
            raise BadInput(
                f"prompt: {count} soft tokens and {real} input tokens exceed the backbone's {room} positions"
            )
        call["inputs_embeds"] = torch.cat([embedded[:, :1], soft, embedded[:, 1:]], dim=1)
        # [CLS] is never padding, so ones added before the mask are the same as ones added after [CLS].
        call["attention_mask"] = longer(call.get("attention_mask"), count)
        call["token_type_ids"] = longer(call.get("token_type_ids"), count, value=0)
        return (), call

    return hook
