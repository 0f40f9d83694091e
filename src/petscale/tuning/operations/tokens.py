"""concat-input: [X; W_prompt], trained vectors in the input sequence (Su et al. equation 9).

T5: in front of the encoder's input; the decoder's view of the encoder grows along. BERT: after [CLS], which the pooler
reads, so that its place is kept (design section 5). Batches stay as they are: ids, masks and segments of the real
input.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from petscale.errors import BadInput
from petscale.tuning.operations.hooks import Handle, Values
from petscale.tuning.plan import Site

Call = tuple[tuple[Any, ...], dict[str, Any]]


def attach(model: nn.Module, site: Site, values: Values) -> list[Handle]:
    """`tokens` is ``(tokens, d)``."""
    module = model.get_submodule(site.module)
    if site.module == "bert":
        return [module.register_forward_pre_hook(_bert_input(values), with_kwargs=True)]
    count = site.tensors[0].shape[0]
    decoder = model.get_submodule("decoder")
    return [
        module.register_forward_pre_hook(_t5_input(values), with_kwargs=True),
        decoder.register_forward_pre_hook(_t5_memory(count), with_kwargs=True),
    ]


def _t5_input(values: Values) -> Any:
    def hook(encoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        call = {**dict(zip(("input_ids", "attention_mask"), args, strict=False)), **kwargs}
        embedded = call.get("inputs_embeds")
        if embedded is None:
            embedded = encoder.embed_tokens(call.pop("input_ids"))
        tokens = values("tokens", embedded.dtype).expand(embedded.shape[0], -1, -1)
        call["inputs_embeds"] = torch.cat([tokens, embedded], dim=1)
        call["attention_mask"] = _longer(call.get("attention_mask"), tokens.shape[1])
        return (), call

    return hook


def _t5_memory(count: int) -> Any:
    def hook(_decoder: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        mask = kwargs.get("encoder_attention_mask")
        return args, {**kwargs, "encoder_attention_mask": _longer(mask, count)}

    return hook


def _bert_input(values: Values) -> Any:
    def hook(bert: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        call = {**dict(zip(("input_ids", "attention_mask", "token_type_ids"), args, strict=False)), **kwargs}
        embedded = call.get("inputs_embeds")
        if embedded is None:
            embedded = bert.embeddings.word_embeddings(call.pop("input_ids"))
        tokens = values("tokens", embedded.dtype).expand(embedded.shape[0], -1, -1)
        soft, real, room = tokens.shape[1], embedded.shape[1], bert.config.max_position_embeddings
        if soft + real > room:
            raise BadInput(f"prompt: {soft} soft tokens and {real} input tokens exceed the backbone's {room} positions")
        call["inputs_embeds"] = torch.cat([embedded[:, :1], tokens, embedded[:, 1:]], dim=1)
        # [CLS] is never padding, so ones in front of the mask are ones after [CLS].
        call["attention_mask"] = _longer(call.get("attention_mask"), tokens.shape[1])
        call["token_type_ids"] = _longer(call.get("token_type_ids"), tokens.shape[1], value=0)
        return (), call

    return hook


def _longer(mask: Tensor | None, count: int, value: int = 1) -> Tensor | None:
    """``(batch, count + length)``: `count` times `value` in front; None stays None."""
    if mask is None:
        return None
    return torch.cat([mask.new_full((mask.shape[0], count), value), mask], dim=1)
