"""What every section of a study file shares."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the study file: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
