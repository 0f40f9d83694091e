"""concat-input: [X; W_prompt], trained vectors in the input sequence (Su et al. equation 9).

The backbone's family decides their position in the sequence, and what else must be extended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from petscale.families.registry import family_of
from petscale.tuning.host import Host
from petscale.tuning.operations.hooks import Handle, Values, in_dtype
from petscale.tuning.operations.operation import Insertion, parametrisation
from petscale.tuning.site import Site

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from petscale.tuning.operations.peft import PeftFiles
    from petscale.tuning.plan import Plan


class ConcatInput(Insertion):
    """`tokens` is ``(tokens, d)``."""

    name = "concat-input"

    def soft_tokens(self, site: Site) -> int:
        """The number of trained vectors in the input."""
        return site.tensors[0].shape[0]

    def insert(self, host: Host, site: Site, values: Values) -> list[Handle]:
        """Put the trained vectors ``(tokens, d)`` into the input sequence (Su et al., equation 9)."""
        made = parametrisation(site)

        def tokens(dtype: torch.dtype) -> Tensor:
            return made.make(in_dtype(values, dtype), "tokens")

        count = site.tensors[0].shape[0]
        handles: list[Handle] = family_of(host.shape).insert_tokens(host.model, site.module, count, tokens)
        return handles

    def export(self, plan: Plan, values: Mapping[str, Tensor]) -> PeftFiles | None:
        """The format of prompt tuning, for families that put soft tokens in the same place as PEFT."""
        from petscale.tuning.operations.peft import PeftFiles, whole

        if not family_of(plan.shape).peft_takes_prompts or len(plan.sites) != 1:
            return None
        (named,) = plan.tensors_of(plan.sites[0]).values()
        tokens, width = named.tensor.shape
        config = {
            "peft_type": "PROMPT_TUNING",
            "num_virtual_tokens": tokens,
            "token_dim": width,
            "num_transformer_submodules": 1,
            "num_attention_heads": plan.shape.heads,
            "num_layers": plan.shape.layers,
            "prompt_tuning_init": "RANDOM",
        }
        return PeftFiles(config, {"prompt_embeddings": whole(named, values)})
