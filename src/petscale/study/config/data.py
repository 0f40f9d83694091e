"""Where rows come from and how they are split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from petscale.artefacts.names import Name
from petscale.study.config.section import Section


class Data(Section):
    """One source for the study's tasks; `mini-*` tasks always come from the generated language."""

    source: Literal["hub", "local", "mini"] = Field("hub", description="where the rows of the tasks come from")
    folder: str | None = Field(
        None, description="source local: a folder with <task>/{train,validation,test}.{jsonl,parquet,tsv,csv}"
    )
    name: Name | None = Field(
        None, description="source local: a name for these rows; it is part of each cell's identity"
    )
    flaws: Literal["refuse", "drop"] = Field(
        "refuse",
        description="source local: whether empty texts, and train inputs also in evaluation, are refused or dropped",
    )
    dev_size: int = Field(500, ge=1, description="rows held out from train for selection")
    dev_size_by_task: dict[Name, Annotated[int, Field(ge=1)]] = Field(
        default={}, description="sizes that replace `dev_size`, for tasks with few rows"
    )
    max_train: int | None = Field(None, ge=1, description="rows of train to use; all when absent")
    max_test: int | None = Field(None, ge=1, description="rows of test to score; all when absent")
    few_shot: int | None = Field(None, ge=1, description="rows per class in train and in dev; no limit when absent")
    split_seed: int = Field(0, ge=0, description="seed of the dev split and of every subsample")

    @model_validator(mode="after")
    def _local_is_named(self) -> Data:
        if self.source == "local" and (self.folder is None or self.name is None):
            raise ValueError("source local needs both `folder` and `name`")
        if self.source != "local" and self.folder is not None:
            raise ValueError(f"`folder` is for source local, not {self.source}")
        if self.source != "local" and self.flaws != "refuse":
            raise ValueError(f"`flaws` is for source local, not {self.source}, which has its own rule")
        return self
