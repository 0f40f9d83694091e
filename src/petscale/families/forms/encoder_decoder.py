"""Encoder-decoder models: they read a templated source and generate a label word, an answer or a summary."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

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


class EncoderDecoder(Family, ABC):
    """Base class of encoder-decoders; a family adds its layout and its weights."""

    form = Form.ENCODER_DECODER
    has_head = False
    peft_task = "SEQ_2_SEQ_LM"
    peft_takes_prompts = True

    def takes(self, task: Task) -> bool:
        """Encoder-decoders run every task: without labels, they generate free text."""
        return True

    def source_length(self, task: Task) -> int:
        """The length of the templated source with its end of sequence."""
        return task.source_length

    def affixes(self, task: Task) -> tuple[str, str]:
        """The words of the template before its first and after its last text."""
        return task.template.split("{")[0], task.template.rsplit("}")[-1]

    def head_units(self, task: Task, labels: LabelScheme) -> int:
        """0: an encoder-decoder generates its answer and has no head."""
        return 0

    def head_parameters(self, shape: BackboneShape, units: int) -> int:
        """0: an encoder-decoder has no head."""
        return 0

    def label_tokens(self, tokenizer: Tokenizer, task: Task, labels: LabelScheme, end: int) -> list[list[int]]:
        """Token ids of each label word, each with one end of sequence."""
        from petscale.families.forms.text import closed_sequences

        return closed_sequences(tokenizer, task.words(labels), end, None)[0]

    def encode(
        self, tokenizer: Tokenizer, task: Task, labels: LabelScheme, end: int, columns: Mapping[str, list[Any]]
    ) -> Encoded:
        """Make `source` (the templated text) and `target`, each with one end of sequence, and `label` (the id)."""
        from petscale.artefacts.ragged import Ragged
        from petscale.data.encoding import Encoded
        from petscale.families.forms.text import closed_sequences, spans_of_texts

        targets = columns["target" if labels == "words" else "target_unified"]
        spans = spans_of_texts(task, columns)
        sources, cut_sources = closed_sequences(tokenizer, columns["source"], end, task.source_length, spans)
        limit = None if task.has_labels else task.target_length  # a label must not be cut
        written, cut_targets = closed_sequences(tokenizer, targets, end, limit)
        arrays = {
            "source": Ragged.of(sources, np.uint16),
            "target": Ragged.of(written, np.uint16),
            "label": np.array(columns["label"], np.int64),
        }
        return Encoded(arrays, {"source": cut_sources, "target": cut_targets})

    def collate(self, examples: Examples, indices: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """Make input_ids, attention_mask ``(b, s)`` and labels ``(b, t)`` with -100 on padding."""
        import torch

        from petscale.data.batches import IGNORED

        assert examples.target is not None
        ids, mask = examples.source.padded(indices, examples.pad)
        labels, _ = examples.target.padded(indices, IGNORED)
        batch = {"input_ids": ids, "attention_mask": mask.astype(np.int64), "labels": labels}
        return {name: torch.from_numpy(values) for name, values in batch.items()}

    def head(self, model: Any) -> dict[str, torch.nn.Parameter]:
        """Nothing: an encoder-decoder has no head."""
        return {}

    def answer(
        self,
        model: Any,
        examples: Examples,
        task: Task,
        labels: LabelScheme,
        decode: Decode | None,
        batches: Iterator[Batch],
    ) -> Answers:
        """The answer to each example, as text, with the scores of each."""
        from petscale.families.forms.writing import write_labels, write_texts

        if decode is None:
            raise ValueError(f"the {self.name} family is scored on text: `decode` is needed")
        if task.has_labels:
            return write_labels(model, examples, decode, batches)
        return write_texts(model, examples, task, decode, batches)

    def label_words(self, task: Task, labels: LabelScheme) -> dict[int, str]:
        """The words of the labels by their position in the label scheme."""
        return dict(enumerate(task.words(labels)))
