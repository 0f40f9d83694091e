"""The interface through which tokenising uses a family of backbones; this package may not import families itself."""

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
        arrays: name -> `Ragged` or array with one entry per example: `source`, `label`, and what the form of the family
            needs in addition (`target` or `first`).
        cut: number of texts that were cut because they were too long: `source`, and `target` if there is one.
    """

    arrays: dict[str, Any]
    cut: dict[str, int]


class TextEncoder(Protocol):
    """The part of `petscale.families.family.Family` that tokenising uses; that class explains each member."""

    @property
    def name(self) -> str:
        """The name of the family, for messages."""

    @property
    def end_token(self) -> str:
        """The token that ends a sequence, as the tokenizer writes it."""

    @property
    def pad_token(self) -> str:
        """The token that fills shorter examples of a batch."""

    def takes(self, task: Task) -> bool:
        """Whether the family can run the task at all."""

    def source_length(self, task: Task) -> int:
        """Largest number of tokens of an input of the task, including special tokens."""

    def label_tokens(self, tokenizer: Tokenizer, task: Task, labels: LabelScheme, end: int) -> list[list[int]]:
        """Token ids of each label with the end of sequence; empty if the model does not generate labels."""

    def encode(
        self, tokenizer: Tokenizer, task: Task, labels: LabelScheme, end: int, columns: Mapping[str, list[Any]]
    ) -> Encoded:
        """The token arrays of a prepared split (`petscale.families.family.Family.encode`)."""
