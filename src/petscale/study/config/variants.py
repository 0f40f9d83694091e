"""Variants: a registered method under a name of its own, with options and recipe keys that differ from the study's."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from petscale.artefacts.names import Name
from petscale.study.config.section import Section


class Variant(Section):
    """A method that a study runs a second time in another way; its name stands wherever a method's may stand."""

    method: Name = Field(description="registered method that it runs")
    options: dict[str, Any] = Field(
        default={}, description="options in addition to those that `method_options` gives the method, or in their place"
    )
    recipe: dict[str, Any] = Field(
        default={}, description="recipe keys that differ; its rate is `recipe.learning_rate_by_method` of its name"
    )

    @field_validator("recipe")
    @classmethod
    def _rates_stand_by_name(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key in value:
            if key.startswith("learning_rate"):
                raise ValueError(f"{key}: the rate of a variant is recipe.learning_rate_by_method of its name")
        return value
