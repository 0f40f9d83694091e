"""The options of APET: its operations and roles, their shares, and the size of inserted factors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from petscale.tuning.method import Names, Options, Positive, Whole

Source = Literal["add", "add-hidden", "concat", "plug"]


class ApetOptions(Options):
    """The options of APET, which say among which operations and roles the budget is divided."""

    operations: (
        Annotated[tuple[Source, ...], Field(min_length=1)] | Annotated[Mapping[Source, Positive], Field(min_length=1)]
    ) = Field(("add",), description="operations with equal shares of the budget, or each with its share")
    roles: Names | None = Field(
        None, description="roles that get a part of the budget, shell-style patterns allowed; null for the default"
    )
    shares: Mapping[str, Positive] = Field({}, description="shares of roles that replace the default ones")
    rank: Whole = Field(8, description="ranks of a branch (concat) that masks choose from")
    alpha: Positive = Field(16, description="a branch (concat) is scaled by alpha / rank")
    bottleneck: Whole = Field(24, description="ranks of a bottleneck (plug) that masks choose from")
