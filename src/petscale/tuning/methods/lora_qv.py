"""LoRA on q and v of every attention, with scale 1, as Lialin et al. (2024) ran it.

HF PEFT matches the names of layers at their ends, so cross-attention has branches too. The paper's count for T5-3B
leaves it out, which is the option `targets: [self.q, self.v]`.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from petscale.tuning.method import Names, Positive
from petscale.tuning.methods.lora import LORA, LoraOptions
from petscale.tuning.methods.norms import NormsOptions, and_norms


class LoraQvOptions(LoraOptions, NormsOptions):
    """The options of LoRA with the defaults of Lialin et al."""

    alpha: Positive = Field(8, description="the branch is scaled by alpha / rank")
    targets: Names = Field(
        ("*.q", "*.v"), description="roles of the linear layers that get a branch, shell-style patterns allowed"
    )


LORA_QV = replace(
    LORA,
    name="lora-qv",
    reference="Hu et al. 2022; r 8, alpha 8 on q and v of every attention as in Lialin et al. 2024",
    operations=("concat", "add"),
    build=and_norms(LORA.build),
    options=LoraQvOptions,
)
