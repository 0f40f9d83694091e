"""The training recipe of a cell, with a key for every setting of Su et al. appendix B.3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator

from petscale.artefacts.names import Name
from petscale.study.config.section import Rate, Section


class Recipe(Section):
    """Training settings; they are the same for all cells unless a key is by method or task."""

    steps: int = Field(20_000, ge=1, description="optimizer steps of every trained cell (released code: 20,000)")
    steps_by_task: dict[Name, Annotated[int, Field(ge=1)]] = Field(
        default={}, description="steps that replace `steps`, for tasks that are learnt later"
    )
    evaluate_every: int = Field(1_000, ge=1, description="steps between dev evaluations (released code: 1,000)")
    batch_size: int = Field(32, ge=1, description="examples per step (Su et al. B.3: 32)")
    learning_rate: float = Field(3e-4, gt=0, description="learning rate of AdamW (Su et al. B.3: 3e-4)")
    learning_rate_by_method: dict[Name, Rate] = Field(
        default={"prompt": 3e-2, "full": 1e-4},
        description="rates that replace `learning_rate` and those by task (B.3: prompt 3e-2)",
    )
    learning_rate_by_task: dict[Name, Rate] = Field(
        default={"rte": 5e-5}, description="rates that replace `learning_rate` (B.3: RTE 5e-5)"
    )
    learning_rate_by_budget: dict[Annotated[int, Field(ge=1)], Rate] = Field(
        default={},
        description="rates of the methods that take a budget, at some budgets: straight lines on logarithmic axes "
        "between these, and the nearest rate beyond. They replace all others",
    )
    schedule: Literal["constant", "linear"] = Field("constant", description="learning-rate schedule")
    warmup_steps: int = Field(0, ge=0, description="linear warm-up steps (B.3: none)")
    warmup_share: float | None = Field(
        None, ge=0, le=1, description="linear warm-up as a share of a cell's steps, in place of `warmup_steps`"
    )
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the gradient of delta and head together")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate of the backbone, equal for all methods")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="precision of the backbone's weights and of the forward pass"
    )
    masters: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="precision of the trained values, their initial values and AdamW's moments; bfloat16 (only with "
        "`precision: bfloat16`) is what Lialin et al. 2024 ran, and rounds small steps away",
    )
    head: Literal["trained", "frozen"] = Field(
        "trained", description="BERT's classification head: trained and counted separately, or random and frozen"
    )
    gradient_checkpointing: bool = Field(
        False, description="recompute activations in the backward pass: less memory, more time"
    )

    @model_validator(mode="after")
    def _one_warmup(self) -> Recipe:
        if self.warmup_share is not None and self.warmup_steps:
            raise ValueError("warmup_share: give one of `warmup_share` and `warmup_steps`")
        return self

    @field_validator("masters")
    @classmethod
    def _masters_are_not_coarser_than_the_backbone(cls, value: str, info: ValidationInfo) -> str:
        if value == "bfloat16" and info.data.get("precision") == "float32":
            raise ValueError("bfloat16 needs precision: bfloat16")
        return value

    def steps_of(self, task: str) -> int:
        """Optimizer steps of the cells of a task."""
        return self.steps_by_task.get(task, self.steps)

    def warmup_of(self, task: str) -> int:
        """Steps of linear warm-up of the cells of a task."""
        return self.warmup_steps if self.warmup_share is None else round(self.warmup_share * self.steps_of(task))

    def rate(self, method: str, rate_key: str, task: str, budget: int | None = None) -> float:
        """The learning rate of one cell: by budget, by method name, by the method's kind of rate, then by task."""
        if budget is not None and self.learning_rate_by_budget:
            return rate_at(self.learning_rate_by_budget, budget)
        for key in (method, rate_key):
            if key in self.learning_rate_by_method:
                return self.learning_rate_by_method[key]
        return self.learning_rate_by_task.get(task, self.learning_rate)


def rate_at(rates: Mapping[int, float], budget: int) -> float:
    """The rate of a budget from those of some budgets, to three digits, so that all machines agree on it."""
    places = sorted(rates)
    log = np.interp(np.log(budget), np.log(places), np.log([rates[place] for place in places]))
    return float(f"{np.exp(log):.3g}")
