"""add-scores: a relative-position table on the scores of T5's cross-attention, which the original T5 does not have.

The released code of Su et al. gives every cross-attention such a table, read with the decoder's one-directional
buckets. The scores of the first block are used by all blocks above, which never read their own table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from petscale.tuning.host import Host
from petscale.tuning.operations.hooks import Handle, Values, in_dtype
from petscale.tuning.operations.operation import Insertion, parametrisation
from petscale.tuning.site import Site

if TYPE_CHECKING:
    from transformers.models.t5.modeling_t5 import T5Attention


class AddScores(Insertion):
    """`delta` is the table ``(buckets, heads)``."""

    name = "add-scores"

    def acts(self, site: Site) -> bool:
        """Whether the table is read. Others belong to the published count and to the file, but have no effect."""
        return any(tensor.effective for tensor in site.tensors)

    def insert(self, host: Host, site: Site, values: Values) -> list[Handle]:
        """Add the table ``(buckets, heads)``, looked up by relative position, to the scores of the attention."""
        import torch
        from torch.nn.functional import embedding

        made = parametrisation(site)

        def hook(
            module: T5Attention, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
            if kwargs.get("position_bias") is not None:
                return None
            hidden, keys, cache = args[0], kwargs["key_value_states"], kwargs.get("past_key_values")
            length = hidden.shape[1]
            # Self-attention has already put this step's tokens into the cache.
            past = 0 if cache is None else int(cache.get_seq_length(module.layer_idx)) - length
            query = torch.arange(past, past + length, device=hidden.device)[:, None]
            key = torch.arange(keys.shape[1], device=hidden.device)[None, :]
            buckets = module._relative_position_bucket(
                key - query,
                bidirectional=False,
                num_buckets=module.relative_attention_num_buckets,
                max_distance=module.relative_attention_max_distance,
            )
            table = embedding(buckets, made.make(in_dtype(values, hidden.dtype), "delta"))  # (query, key, heads)
            return args, {**kwargs, "position_bias": table.permute(2, 0, 1)[None]}

        return [host.module(site.module).register_forward_pre_hook(hook, with_kwargs=True)]
