"""T5 with fused operations: the same functions as in transformers, in fewer kernels and with less repeated work.

Three changes (benchmarks/cells.py measures cells with them against an older checkout):

* RMS norm and tanh GELU are one kernel each of torch, where transformers composes them of five and seven operations.
  The results differ by rounding only (tests/families/test_fused.py gives the tolerance).
* The buckets of the relative positions are computed once for each pair of lengths, not in each forward pass.
* The decoder keeps no cache unless it is asked to. During training nothing reads it, and making it copies the
  configuration in each step.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5Attention, T5ForConditionalGeneration, T5LayerNorm

# The activation "gelu_new" is this one, written as a formula.
_FUSED_ACTIVATIONS = {"gelu_new": "gelu_pytorch_tanh"}


def new_model(config: dict[str, Any]) -> T5ForConditionalGeneration:
    """A T5 for a configuration's document, with the fused operations."""
    read = T5Config.from_dict(config)
    read.dense_act_fn = _FUSED_ACTIVATIONS.get(read.dense_act_fn, read.dense_act_fn)
    read.use_cache = False
    model = T5ForConditionalGeneration(read)
    for module in model.modules():
        # Only methods change, so the class is changed in place: names and parameters stay those of the checkpoint.
        if type(module) is T5LayerNorm:
            module.__class__ = RMSNorm
        elif type(module) is T5Attention and module.has_relative_attention_bias:
            module.__class__ = RelativeAttention
    return model


class RMSNorm(T5LayerNorm):  # type: ignore[misc]  # transformers has no types
    """T5's layer norm, which neither centres nor shifts (Zhang and Sennrich 2019)."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """The RMS norm of ``(..., d)``; composed as in transformers where input and weight differ in dtype."""
        if hidden_states.dtype != self.weight.dtype:  # the fused kernel takes one dtype
            composed: Tensor = super().forward(hidden_states)
            return composed
        return functional.rms_norm(hidden_states, self.weight.shape, self.weight, self.variance_epsilon)


class RelativeAttention(T5Attention):  # type: ignore[misc]
    """The attention of a stack's first layer, which has the table of relative positions of the whole stack."""

    def compute_bias(
        self, query_length: int, key_length: int, device: torch.device | None = None, past_seen_tokens: int = 0
    ) -> Tensor:
        """The biases, (1, heads, query_length, key_length)."""
        table = self.relative_attention_bias
        device = table.weight.device if device is None else device
        buckets = _buckets(
            query_length,
            key_length,
            past_seen_tokens,
            not self.is_decoder,
            self.relative_attention_num_buckets,
            self.relative_attention_max_distance,
            device,
        )
        biases: Tensor = table(buckets).permute(2, 0, 1).unsqueeze(0)
        return biases


@lru_cache(maxsize=32)
def _buckets(
    queries: int, keys: int, past: int, bidirectional: bool, buckets: int, distance: int, device: torch.device
) -> Tensor:
    """The bucket of each pair of a query's and a key's position, (queries, keys)."""
    query = torch.arange(queries, dtype=torch.long, device=device)[:, None] + past
    key = torch.arange(keys, dtype=torch.long, device=device)[None, :]
    found: Tensor = T5Attention._relative_position_bucket(
        key - query, bidirectional=bidirectional, num_buckets=buckets, max_distance=distance
    )
    return found
