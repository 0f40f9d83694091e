"""Dropout that gives each example the same mask however a batch is divided among processes and parts.

torch draws one mask per call, for all rows of the batch, from one random stream. A process that has only some rows also
draws the mask of the whole batch and uses its rows of it. So masks are a function of (seed, step) for any number of
processes and parts. This costs random numbers for the whole batch. If attention has dropout, it also needs the full
attention weights in memory, because a fused kernel does not allow its mask to be chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@contextmanager
def rows_of_whole(first: int, stop: int, count: int) -> Iterator[None]:
    """Context in which dropout treats batches as rows [first, stop) of a batch of `count` rows.

    Both the forward and the backward pass must be inside. The functions of torch are replaced for all threads, because
    gradient checkpointing recomputes the forward pass in a thread of autograd, in which torch's mechanism for
    overriding functions has no effect.
    """
    dropout, attention = functional.dropout, functional.scaled_dot_product_attention

    def of_rows(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0:
            return x
        if len(x) != stop - first:
            raise RuntimeError(f"dropout on {len(x)} rows, {stop - first} were announced")
        scale = dropout(x.new_ones(()).expand(count, *x.shape[1:]), p)  # 0 or 1 / (1 - p)
        return x * scale[first:stop]

    def attend(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        **rest: Any,
    ) -> Tensor:
        if dropout_p == 0:
            return attention(query, key, value, attn_mask, 0.0, is_causal, scale=scale, **rest)
        scores = query @ key.transpose(-2, -1) * (scale or 1 / math.sqrt(query.shape[-1]))
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, -math.inf)
        elif attn_mask is not None:
            scores = scores + attn_mask
        return of_rows(scores.softmax(-1).to(value.dtype), dropout_p) @ value

    functional.dropout, functional.scaled_dot_product_attention = of_rows, attend  # type: ignore[assignment]
    try:
        yield
    finally:
        functional.dropout, functional.scaled_dot_product_attention = dropout, attention
