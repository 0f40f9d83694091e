"""Encoders with a classification head: they read one text or two segments and choose an output unit."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from petscale.errors import BadInput
from petscale.families.family import Family, Form
from petscale.families.shape import BackboneShape
from petscale.tasks import LabelScheme, Task

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from petscale.data.decode import Decode
    from petscale.data.encoding import Encoded
    from petscale.data.tokens import Examples
    from petscale.scoring.answers import Answers, Batch


class Encoder(Family, ABC):
    """Base class of encoders with a linear classification head; a family adds its layout and its weights."""

    form = Form.ENCODER
    has_head = True
    peft_task = "SEQ_CLS"
    peft_takes_prompts = False  # PEFT puts them before [CLS], `concat-input` after it

    def takes(self, task: Task) -> bool:
        """Whether the task is classification; encoders run only such tasks (Su et al. section 4.1)."""
        return task.has_labels

    def source_length(self, task: Task) -> int:
        """The length of the pair of texts, with `[CLS]` and `[SEP]`."""
        return task.bert_length

    def misfit(self, shape: BackboneShape, task: Task) -> str | None:
        """Why the positions or segments of a backbone are too few for the inputs of a task; None if they suffice."""
        length = self.source_length(task)
        if 0 < shape.max_positions < length:
            return (
                f"its {shape.max_positions} positions are too few for task {task.name}, whose inputs have up to"
                f" {length} tokens"
            )
        if shape.type_vocab == 1 and task.text_b is not None:
            return f"it knows one segment (type_vocab_size 1), and task {task.name} has pairs of texts"
        return None

    def check_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Check also that pairs get two segments, each closed by the token for the end of a sequence.

        Raises:
            BadInput: a token is missing, or the tokenizer does not make pairs in this way.
        """
        super().check_tokenizer(tokenizer)
        pair = tokenizer.encode("a", "b")
        closed = [place for place, token in enumerate(pair.tokens) if token == self.end_token]
        if len(closed) != 2 or closed[-1] != len(pair) - 1 or set(pair.type_ids) != {0, 1}:
            raise BadInput(f"it does not close both texts of a pair with {self.end_token} and number them 0 and 1")

    def affixes(self, task: Task) -> tuple[str, str]:
        """The words before the first text in its own template, and those after the last text in its own."""
        first, last = task.text_a, task.text_b or task.text_a
        return first.split("{")[0], last.rsplit("}")[-1]

    def head_units(self, task: Task, labels: LabelScheme) -> int:
        """Number of output units of the head. With unified labels, each unit is a digit (Su et al. appendix E)."""
        return max(task.classes(labels)) + 1

    def head_parameters(self, shape: BackboneShape, units: int) -> int:
        """Number of scalars of the head: weights and bias of each output unit."""
        return units * (shape.d_model + 1)

    def label_tokens(self, tokenizer: Tokenizer, task: Task, labels: LabelScheme, end: int) -> list[list[int]]:
        """Nothing: an encoder answers with a class and generates no label."""
        return []

    def encode(
        self, tokenizer: Tokenizer, task: Task, labels: LabelScheme, end: int, columns: Mapping[str, list[Any]]
    ) -> Encoded:
        """Make `source` (the segments), `first` (tokens of the first one) and `label` (index of the head's unit)."""
        from petscale.data.encoding import Encoded
        from petscale.families.forms.text import segments

        arrays, cut = segments(tokenizer, task, columns, self.source_length(task), end)
        classes = np.array([*task.classes(labels), -1], np.int64)  # label -1 stays -1
        return Encoded({**arrays, "label": classes[columns["label"]]}, {"source": cut})

    def collate(self, examples: Examples, indices: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """Make input_ids, token_type_ids, attention_mask ``(b, s)`` and labels ``(b,)``, the indices of the classes."""
        import torch

        assert examples.first is not None
        ids, mask = examples.source.padded(indices, examples.pad)
        columns = np.arange(ids.shape[1])
        batch = {
            "input_ids": ids,
            "attention_mask": mask.astype(np.int64),
            "token_type_ids": ((columns >= examples.first[indices][:, None]) & mask).astype(np.int64),
            "labels": examples.label[indices],
        }
        return {name: torch.from_numpy(values) for name, values in batch.items()}

    def answer(
        self,
        model: Any,
        examples: Examples,
        task: Task,
        labels: LabelScheme,
        decode: Decode | None,
        batches: Iterator[Batch],
    ) -> Answers:
        """The class of the highest logit for each example, in words, with the scores of each."""
        from petscale.families.forms.choosing import choose_classes

        return choose_classes(model, examples, self.label_words(task, labels), batches)

    def label_words(self, task: Task, labels: LabelScheme) -> dict[int, str]:
        """The words of the labels by class."""
        return dict(zip(task.classes(labels), task.words(labels), strict=True))
