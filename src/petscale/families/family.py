"""What the rest of the project may ask of a family of backbones, and all that it may ask.

A family is a module layout: T5, BERT, and whatever stands beside them in `petscale.families.registry`. Everything that
depends on the layout is an answer to one of the questions below, so no module outside `petscale.families` compares a
family's name. What several families share is their form (`petscale.families.forms`): an encoder with a classification
head, or an encoder-decoder that writes its answer.

Planning asks the first half of the questions, for thousands of cells and without torch: the modules of a family import
torch and transformers only within the methods that need them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from petscale.families.parts import Place, Weight
from petscale.families.shape import BackboneShape
from petscale.tasks import LabelScheme, Task

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from petscale.data.decode import Decode
    from petscale.data.encoding import Encoded
    from petscale.data.tokens import Examples
    from petscale.scoring.answers import Answers, Batch


class Form(StrEnum):
    """How a model takes a task and answers it."""

    ENCODER = "encoder with a head"
    ENCODER_DECODER = "encoder-decoder"


class Family(ABC):
    """One family of backbones.

    Attributes:
        name: what shapes, manifests and plans call it; equal to `model_type` in the `config.json` of transformers.
        form: how its models take a task and answer it.
        has_head: a classification head stands beside the backbone and may be trained, counted apart from the delta.
        end_token: the token that closes a sequence, as the tokenizer writes it.
        pad_token: the token that fills up a batch.
        dropout_keys: keys of `config.json` that set dropout rates.
        peft_task: `task_type` of a HF PEFT configuration for this form.
        peft_takes_prompts: HF PEFT puts soft tokens where `concat-input` puts them, so such a delta can be exported.
    """

    name: ClassVar[str]
    form: ClassVar[Form]
    has_head: ClassVar[bool]
    end_token: ClassVar[str]
    pad_token: ClassVar[str]
    dropout_keys: ClassVar[tuple[str, ...]]
    peft_task: ClassVar[str]
    peft_takes_prompts: ClassVar[bool]

    # The shape, and what the layout offers to methods. Pure. -----------------------------------------------

    @abstractmethod
    def read_shape(self, config: Mapping[str, Any], tensor_names: Collection[str] | None) -> BackboneShape:
        """The shape that the content of a `config.json` and the names in the weights' headers show.

        Args:
            config: the parsed file.
            tensor_names: names of the stored tensors, which decide what is tied; None where only the config is known.

        Raises:
            BadInput: a missing or impossible number; the message names the key.
        """

    @abstractmethod
    def parameters(self, shape: BackboneShape) -> int:
        """Scalars of the backbone without a classification head, as a closed formula.

        The inventory counts the same by listing every tensor, and a test compares the two.
        """

    @abstractmethod
    def weights(self, shape: BackboneShape, target_length: int | None) -> tuple[Weight, ...]:
        """Every tensor of the backbone once, with its dead entries; a classification head is no part of it.

        Args:
            shape: the backbone.
            target_length: tokens of the target, end of sequence included; None for long.
        """

    @abstractmethod
    def places(self, shape: BackboneShape, target_length: int | None) -> tuple[Place, ...]:
        """Every place where a method can insert something; arguments as for `weights`."""

    # Tasks, head and cost. Pure. ---------------------------------------------------------------------------

    @abstractmethod
    def takes(self, task: Task) -> bool:
        """Whether the family can run a task at all."""

    @abstractmethod
    def source_length(self, task: Task) -> int:
        """Most tokens of an input of this task, special tokens included."""

    @abstractmethod
    def affixes(self, task: Task) -> tuple[str, str]:
        """The words that the task's template puts before the first and after the last text of an input."""

    @abstractmethod
    def head_units(self, task: Task, labels: LabelScheme) -> int:
        """Output units of the classification head for a task; 0 where the family has no head."""

    @abstractmethod
    def head_parameters(self, shape: BackboneShape, units: int) -> int:
        """Scalars of a classification head with that many output units; 0 where the family has no head."""

    def matrix_parameters(self, shape: BackboneShape) -> int:
        """Parameters that take part in matrix products for each token: all but one vocabulary matrix (a look-up)."""
        return self.parameters(shape) - shape.vocab * shape.d_model

    def layers(self, shape: BackboneShape) -> int:
        """Blocks whose activations a backward pass keeps."""
        return shape.layers + shape.decoder_layers

    # Text and batches --------------------------------------------------------------------------------------

    @abstractmethod
    def encode(
        self, tokenizer: Tokenizer, task: Task, labels: LabelScheme, end: int, columns: Mapping[str, list[Any]]
    ) -> Encoded:
        """The token arrays of a prepared split.

        Args:
            tokenizer: of the backbone.
            task: whose rows are encoded.
            labels: label words, or the digits of unified labels.
            end: id of the token that closes a sequence.
            columns: of the prepared split (`petscale.data.prepare.SCHEMA`).

        Raises:
            BadInput: the tokenizer does not close sequences with that token.
        """

    @abstractmethod
    def label_tokens(self, tokenizer: Tokenizer, task: Task, labels: LabelScheme, end: int) -> list[list[int]]:
        """How the model writes each label, end of sequence included; empty where it writes none."""

    @abstractmethod
    def collate(self, examples: Examples, indices: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """The batch that the model's forward takes: examples padded to the longest of them, labels included."""

    # The model ---------------------------------------------------------------------------------------------

    @abstractmethod
    def new_model(self, config: dict[str, Any], num_labels: int | None) -> Any:
        """The model of transformers, its weights still undefined (the caller is on the meta device).

        Args:
            config: the content of `config.json`.
            num_labels: units of the classification head; None where the family has none.

        Raises:
            BadInput: a head is needed and `num_labels` is None.
        """

    @abstractmethod
    def rename(self, stored: str) -> str | None:
        """The model's name of a tensor in a file; None for tensors that it has no use for."""

    @abstractmethod
    def complete(
        self, state: dict[str, torch.Tensor], config: Any, *, head_seed: int, dtype: torch.dtype, device: str
    ) -> None:
        """Add to `state` what no file holds: a tied output matrix, a freshly drawn classification head."""

    @abstractmethod
    def finish(self, model: Any, device: str) -> None:
        """What is left to do once the tensors are the model's parameters: ties, and constant buffers."""

    @abstractmethod
    def forget_copies(self, state: dict[str, torch.Tensor]) -> None:
        """Drop from a published file's tensors what is but a copy of another, before it is converted."""

    @property
    def derived(self) -> frozenset[str]:
        """Names of the model's state that are made of other tensors and stand in no file."""
        return frozenset()

    @abstractmethod
    def head(self, model: Any) -> dict[str, torch.nn.Parameter]:
        """The parameters of the classification head by name; empty where the family has none."""

    @abstractmethod
    def check_ties(self, model: torch.nn.Module, shape: BackboneShape) -> None:
        """See that a model ties the matrices that the shape says are tied, so that a plan counts what is there.

        Raises:
            BadInput: it does not, or it is a model of another family.
        """

    @abstractmethod
    def insert_tokens(self, model: Any, module: str, count: int, tokens: Callable[[torch.dtype], torch.Tensor]) -> Any:
        """Put trained vectors into the input sequence (`concat-input`).

        Args:
            model: the backbone, possibly with a head.
            module: path of the module whose input is changed, from the inventory's place of kind `input`.
            count: number of vectors.
            tokens: gives them ``(count, d)`` in a wanted dtype at each call.

        Returns:
            Handles that take it back.
        """

    def shard_units(self, model: Any) -> list[Any]:
        """Modules that sharded training gathers one at a time; the model itself comes last and is not listed."""
        from transformers.modeling_layers import GradientCheckpointingLayer

        return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]

    # Scores ------------------------------------------------------------------------------------------------

    @abstractmethod
    def answer(
        self,
        model: Any,
        examples: Examples,
        task: Task,
        labels: LabelScheme,
        decode: Decode | None,
        batches: Iterator[Batch],
    ) -> Answers:
        """What the model says about each example of the batches, and its scores.

        Args:
            model: in evaluation mode.
            examples: all of the split.
            task: of the examples.
            labels: the scheme of label words.
            decode: ids to text, for families that write.
            batches: indices and input tensors, as `collate` makes them, without labels.

        Raises:
            ValueError: the family writes, and `decode` is None.
        """

    @abstractmethod
    def label_words(self, task: Task, labels: LabelScheme) -> dict[int, str]:
        """The word of each value that `Examples.label` can have."""
