"""The base class of the sections of a study file."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A section of the study file: unknown keys and infinite numbers are errors; values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)
