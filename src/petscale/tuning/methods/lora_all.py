"""LoRA on every linear layer of the blocks, with scale 1, as Lialin et al. (2024) ran it on T5 v1.0."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from petscale.tuning.method import Names, Positive
from petscale.tuning.methods.lora import LORA, LoraOptions
from petscale.tuning.methods.norms import NormsOptions, and_norms


class LoraAllOptions(LoraOptions, NormsOptions):
    """The options of LoRA with the defaults of Lialin et al."""

    alpha: Positive = Field(8, description="the branch is scaled by alpha / rank")
    targets: Names = Field(
        ("*.q", "*.k", "*.v", "*.o", "ffn.*"),
        description="roles of the linear layers that get a branch, shell-style patterns allowed",
    )


LORA_ALL = replace(
    LORA,
    name="lora-all",
    reference="Hu et al. 2022; r 8, alpha 8 on every linear layer of the blocks as in Lialin et al. 2024",
    operations=("concat", "add"),
    build=and_norms(LORA.build),
    options=LoraAllOptions,
)
