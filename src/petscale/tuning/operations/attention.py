"""Keys and values in addition to those of the sequence, in an attention of transformers.

Models of transformers look up the function that computes an attention by a name in their configuration. An attention
that gets more keys has a copy of the configuration with the name of the function below, which adds them and calls the
kernel of torch. So other attentions, masks and caches are as before: the added keys are in no cache.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from petscale.errors import BadInput

_NAME = "petscale-more-keys"
_ATTRIBUTE = "petscale_more_keys"
_CHANGED = ("sdpa", "eager")  # implementations whose masks the kernel takes


@dataclass(frozen=True)
class MoreKeys:
    """What an attention gets.

    Attributes:
        vectors: function that returns keys and values ``(heads, count, d_kv)`` in a dtype.
        scores: function of the position scores ``(1, heads, queries, length)`` of the sequence's keys that returns
            those of all keys, ``(1, heads, queries, count + length)``.
        gate: function that returns the gate of the present forward pass, ``(batch, queries or 1, 1)``; None without.
    """

    vectors: Callable[[torch.dtype], tuple[Tensor, Tensor]]
    scores: Callable[[Tensor], Tensor]
    gate: Callable[[], Tensor] | None


class Changed:
    """An attention with more keys, as a handle that undoes the change."""

    def __init__(self, attention: nn.Module, more: MoreKeys) -> None:
        self._attention, self._config = attention, attention.config
        changed: Any = copy(attention.config)
        changed._attn_implementation = _NAME
        attention.config = changed
        setattr(attention, _ATTRIBUTE, more)

    def remove(self) -> None:
        """Give the attention its own configuration and keys back."""
        self._attention.config = self._config
        delattr(self._attention, _ATTRIBUTE)


def check_attention(attention: nn.Module, path: str) -> None:
    """Check that keys can be added to an attention.

    Raises:
        BadInput: the module is no attention of transformers, or another kernel computes it.
    """
    config = getattr(attention, "config", None)
    found = getattr(config, "_attn_implementation", None)
    if found not in _CHANGED:
        raise BadInput(f"plan: {path} is computed by {found!r}; keys can be added with {' or '.join(_CHANGED)} only")


def _attend(
    attention: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    position_bias: Tensor | None = None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """The function in place of the model's; arguments are those of transformers, ``(batch, heads, tokens, d_kv)``.

    A gate g multiplies added keys and values, and may differ from query to query. Then keys are not the same for all
    queries, but the scores (g q) k are, with twice the width: q becomes [q, g q], keys of the sequence [k, 0] and added
    ones [0, k]. The output is the sum of its first half and g times its second half, as values are placed alike.
    """
    more: MoreKeys = getattr(attention, _ATTRIBUTE)
    batch, _, queries, width = query.shape
    length = key.shape[2]
    added_key, added_value = (vector.expand(batch, -1, -1, -1) for vector in more.vectors(key.dtype))
    count = added_key.shape[2]
    if attention_mask is None and getattr(attention, "is_causal", False) and queries > 1:
        # The kernel's own causal mask would begin with the added keys.
        causal = torch.ones(queries, length, dtype=torch.bool, device=query.device).tril(length - queries)
        attention_mask = causal[None, None]
    if attention_mask is not None:
        visible = True if attention_mask.dtype == torch.bool else 0.0
        attention_mask = pad(attention_mask, (count, 0), value=visible)
    if position_bias is not None:
        settings["position_bias"] = more.scores(position_bias)
    gate = None if more.gate is None else more.gate()[:, None]  # (batch, 1, queries or 1, 1)
    if gate is not None:
        query = torch.cat([query, gate * query], dim=-1)
        key, value = (pad(vector, (0, width)) for vector in (key, value))
        added_key, added_value = (pad(vector, (width, 0)) for vector in (added_key, added_value))
    key, value = torch.cat([added_key, key], dim=2), torch.cat([added_value, value], dim=2)
    settings["is_causal"] = False
    output: Tensor = sdpa_attention_forward(attention, query, key, value, attention_mask, **settings)[0]
    if gate is not None:  # the output is (batch, queries, heads, width)
        output = output[..., :width] + gate.transpose(1, 2) * output[..., width:]
    return output, None


AttentionInterface.register(_NAME, _attend)
