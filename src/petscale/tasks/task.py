"""The class of a task: one frozen entry that declares everything on which its rows, tokens and scores depend.

Nothing here reads a file or imports a model library, because a study is planned from these entries alone.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from petscale.errors import BadInput

Kind = Literal["sentiment", "inference", "paraphrase", "qa", "summarisation"]
LabelScheme = Literal["words", "unified"]

METRICS: Mapping[str, tuple[str, ...]] = {
    "label": ("accuracy", "rank_accuracy"),
    "qa": ("f1", "em"),
    "summarisation": ("rougeL", "rouge1", "rouge2"),
}
"""Keys of the metrics by kind of target; the first is the task's main metric, used for selection and in figures."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hub(_Entry):
    """Where the published rows are: a data set on the hub, at a pinned commit, that needs no loading script."""

    id: str
    config: str | None = None
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="commit of the data set's repository")
    train: str = "train"
    test: str = Field("validation", description="the labelled split that is scored once, at the end")
    extra: Mapping[str, str] = Field(
        default_factory=dict, description="further test sets, reported beside the test: name -> split"
    )
    files: str = Field("{config}/{split}-*.parquet", description="pattern of a split's files in the repository")
    text_files: Mapping[str, str] = Field(
        default_factory=dict,
        description="instead of `files`, for plain text with one row a line: column -> path with {split}",
    )

    rows: Mapping[str, int | tuple[int, ...]] = Field(
        description="published number of rows of each split that is read, or the numbers of which one is right, the "
        "most likely one first; no part of the rows' identity, which the commit is",
    )

    def published(self, split: str) -> tuple[int, ...]:
        """Numbers of rows that a split may have; there is one unless the sources disagree."""
        counts = self.rows[split]
        return (counts,) if isinstance(counts, int) else counts

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are read: train, test, and further test sets."""
        return (self.train, self.test, *self.extra.values())

    @model_validator(mode="after")
    def _rows_are_those_of_the_splits(self) -> Self:
        for split in self.splits:
            if split not in self.rows:
                raise ValueError(f"rows: the published number of rows of split {split!r} is missing")
            if not self.published(split) or min(self.published(split)) < 1:
                raise ValueError(f"rows: split {split!r} needs a positive number of rows")
        if other := set(self.rows) - set(self.splits):
            raise ValueError(f"rows: split {min(other)!r} is never read")
        return self

    def patterns(self, split: str) -> tuple[str, ...]:
        """Paths of one split in the repository; `*` matches anything."""
        paths = tuple(self.text_files.values()) or (self.files,)
        return tuple(path.format(config=self.config, split=split) for path in paths)


class Task(_Entry):
    """A task: rows, wording, labels, lengths and metric (Su et al., appendices A, B.3 and E).

    `version` is part of a cell's identity: raise it when an edit may change rows, tokens or scores.
    """

    name: str = Field(pattern=r"^[a-z0-9_-]+$")
    version: int = Field(1, ge=1)
    kind: Kind
    source: Literal["hub", "mini"] = "hub"
    hub: Hub | None = None
    columns: tuple[str, ...] = Field(description="columns that rows must have")
    label_column: str | None = None
    target_column: str | None = Field(None, description="free text, or the list of accepted answers")
    template: str = Field(description="T5 source, whole; {column} stands for a value")
    text_a: str = Field(description="first text: BERT's first segment")
    text_b: str | None = Field(None, description="BERT's second segment")
    labels: tuple[str, ...] | None = Field(None, description="label words; the position is the label id")
    unified: tuple[str, ...] | None = Field(None, description="appendix E: the digit of each label id")
    source_length: int = Field(gt=0, description="T5 tokens of the source at most, end of sequence included")
    target_length: int = Field(
        gt=0,
        description="T5 tokens of the target at most, end of sequence included; for labels the longest "
        "one of either scheme in T5's vocabulary",
    )
    bert_length: int = Field(gt=0, description="BERT tokens at most, [CLS] and [SEP] included")
    citation: str

    def __init__(self, /, **fields: Any) -> None:
        """Check an entry.

        Raises:
            BadInput: a field is missing, unknown or wrong; the message names the task and the key.
        """
        try:
            super().__init__(**fields)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "(entry)"
            raise BadInput(f"task {fields.get('name')!r}: key {key}: {' '.join(first['msg'].split())}") from None

    @property
    def has_labels(self) -> bool:
        """Whether the task is classification (BERT runs only such tasks)."""
        return self.labels is not None

    @property
    def metrics(self) -> tuple[str, ...]:
        """Keys of the scores on T5; BERT's head gives only `accuracy`."""
        return METRICS["label" if self.has_labels else self.kind]

    @property
    def metric(self) -> str:
        """The main metric's key."""
        return self.metrics[0]

    @property
    def rows_version(self) -> str:
        """Identity of the published rows: the pinned commit, or `mini`."""
        return self.hub.revision if self.hub else "mini"

    def words(self, scheme: LabelScheme) -> tuple[str, ...]:
        """The words that T5 writes for label id 0, 1, ...; empty if the target is free text."""
        if self.labels is None or self.unified is None:
            return ()
        return self.labels if scheme == "words" else self.unified

    def classes(self, scheme: LabelScheme) -> tuple[int, ...]:
        """Output unit of BERT's head for label id 0, 1, ...

        With unified labels the digit is the index of the unit, so a head trained on one task can be used on another.
        """
        if self.labels is None or self.unified is None:
            return ()
        return tuple(range(len(self.labels))) if scheme == "words" else tuple(map(int, self.unified))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.source == "hub" and self.hub is None:
            raise ValueError("source hub needs `hub`")
        if (self.label_column is None) == (self.target_column is None):
            raise ValueError("one of `label_column` and `target_column` is needed, not both")
        if len({self.labels is None, self.unified is None, self.label_column is None}) > 1:
            raise ValueError("`labels`, `unified` and `label_column` belong together")
        if self.labels and self.unified:
            counts = {len(self.labels), len(set(self.labels)), len(self.unified), len(set(self.unified))}
            if len(counts) > 1:
                raise ValueError("each label needs a word and a digit of its own")
        known = {*self.columns}
        for text in filter(None, (self.template, self.text_a, self.text_b)):
            named = {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}
            if not named <= known:
                raise ValueError(f"template names {sorted(named - known)}, which are no columns")
        if {self.label_column or self.target_column} - known:
            raise ValueError("the label or target is no column")
        return self
