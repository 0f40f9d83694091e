"""The base class of the sections of a study file."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the study file: unknown keys are errors, and values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
