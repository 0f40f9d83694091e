"""What tokenising asks of a family of backbones: how its models read a text. The families are a room above this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from petscale.tasks import LabelScheme, Task

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Encoded:
    """One split as token arrays.

    Attributes:
        arrays: name -> `Ragged` or array, one entry an example: `source` and `label`, and what the form of the family
            needs beside them (`target`, or `first`).
        cut: how many texts were cut because they were too long: `source`, and `target` where there is one.
    """

    arrays: dict[str, Any]
    cut: dict[str, int]


class TextEncoder(Protocol):
    """The part of `petscale.families.family.Family` that tokenising needs; see there for the meaning of each member."""

    @property
    def name(self) -> str: ...

    @property
    def end_token(self) -> str: ...

    @property
    def pad_token(self) -> str: ...

    def takes(self, task: Task) -> bool: ...

    def source_length(self, task: Task) -> int: ...

    def label_tokens(self, tokenizer: Tokenizer, task: Task, labels: LabelScheme, end: int) -> list[list[int]]: ...

    def encode(
        self, tokenizer: Tokenizer, task: Task, labels: LabelScheme, end: int, columns: Mapping[str, list[Any]]
    ) -> Encoded: ...
