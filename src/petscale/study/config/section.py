"""The base class of the sections of a study file."""

from collections.abc import Iterator
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Rate = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A section of the study file: unknown keys and infinite numbers are errors; values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false in the place of numbers, which Pydantic would read as 1 and 0."""
        types = list(_types(cls.model_fields[str(info.field_name)].annotation))
        if (int in types or float in types) and bool not in types and _has_truth(value):
            raise ValueError("a number is needed here, not true or false (yes, no, on and off mean the same in YAML)")
        return value


def _types(annotation: Any) -> Iterator[Any]:
    """The type itself and the types in it."""
    yield annotation
    for part in get_args(annotation):
        yield from _types(part)


def _has_truth(value: Any) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    return any(map(_has_truth, value)) if isinstance(value, (list, tuple)) else isinstance(value, bool)
