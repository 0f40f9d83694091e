"""The class `Family`: the complete interface through which the project uses a family of backbones.

A family is a layout of modules, such as T5 or BERT; `petscale.families.registry` lists them all. Everything that
depends on the layout is a method of this class, so that no module outside `petscale.families` compares the name of a
family. Families of the same form share code in `petscale.families.forms`: encoders with a classification head, and
encoder-decoders that generate their answer.

Planning uses the first methods, for thousands of cells and without torch. Therefore the modules of a family import
torch and transformers only inside the methods that need them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from petscale.errors import BadInput
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


Same = Callable[[str, str], bool]
"""Whether two stored tensors, given by name, are equal."""


class Form(StrEnum):
    """The kind of model: how it reads a task and how it answers."""

    ENCODER = "encoder with a head"
    ENCODER_DECODER = "encoder-decoder"


class Family(ABC):
    """One family of backbones.

    Attributes:
        name: its name in shapes, manifests and plans; equal to `model_type` in the `config.json` of transformers.
        form: how its models read a task and answer.
        has_head: whether its models have a classification head, which may be trained and is not counted in the delta.
        end_token: the token at the end of a sequence, as the tokenizer writes it.
        pad_token: the token for padding.
        dropout_keys: keys of `config.json` that set dropout rates.
        peft_task: `task_type` of a HF PEFT configuration for this form.
        peft_takes_prompts: whether HF PEFT puts soft tokens in the same place as `concat-input`, so that such a delta
            can be exported.
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
        """Read the shape from the content of a `config.json` and the names in the headers of the weights.

        Args:
            config: the parsed file.
            tensor_names: names in the model of the stored tensors, without copies, which decide what is tied; None if
                only the config is known.

        Raises:
            BadInput: a number is missing or impossible; the message names the key.
        """

    @abstractmethod
    def parameters(self, shape: BackboneShape) -> int:
        """Number of scalars of the backbone without a classification head, by a closed formula.

        The inventory gives the same number by listing every tensor, and a test compares the two.
        """

    @abstractmethod
    def weights(
        self, shape: BackboneShape, target_length: int | None, more_keys: frozenset[str] = frozenset()
    ) -> tuple[Weight, ...]:
        """Every tensor of the backbone once, with its dead entries, but without a classification head.

        Args:
            shape: shape of the backbone.
            target_length: number of tokens of the target with the end of sequence; None for a long target.
            more_keys: paths of the attentions to whose keys a method adds some that do not come from the sequence. A
                score that is equal for all keys of the sequence has an effect there.
        """

    @abstractmethod
    def places(
        self, shape: BackboneShape, target_length: int | None, more_keys: frozenset[str] = frozenset()
    ) -> tuple[Place, ...]:
        """Every place where a method can insert something; the arguments are those of `weights`."""

    # Tasks, head and cost. Pure. ---------------------------------------------------------------------------

    @abstractmethod
    def takes(self, task: Task) -> bool:
        """Whether the family can run a task at all."""

    @abstractmethod
    def source_length(self, task: Task) -> int:
        """Largest number of tokens of an input of this task, including special tokens."""

    def misfit(self, shape: BackboneShape, task: Task) -> str | None:
        """Why a backbone of this shape cannot run a task that the family takes; None if it can."""
        return None

    @abstractmethod
    def affixes(self, task: Task) -> tuple[str, str]:
        """The words that the task's template adds before the first and after the last text of an input."""

    @abstractmethod
    def head_units(self, task: Task, labels: LabelScheme) -> int:
        """Number of output units of the classification head for a task; 0 if the family has no head."""

    @abstractmethod
    def head_parameters(self, shape: BackboneShape, units: int) -> int:
        """Number of scalars of a classification head with that many output units; 0 if the family has no head."""

    def matrix_parameters(self, shape: BackboneShape) -> int:
        """Number of parameters in matrix products: all but one vocabulary matrix, whose rows are only looked up."""
        return self.parameters(shape) - shape.vocab * shape.d_model

    def layers(self, shape: BackboneShape) -> int:
        """Number of blocks whose activations are kept for the backward pass."""
        return shape.layers + shape.decoder_layers

    # Text and batches --------------------------------------------------------------------------------------

    def check_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Check that a tokenizer has what the family's texts need.

        Raises:
            BadInput: the token at the end of a sequence or that for padding is missing.
        """
        for token in (self.end_token, self.pad_token):
            if tokenizer.token_to_id(token) is None:
                raise BadInput(f"no token {token}; not a tokenizer of the {self.name} family")

    @abstractmethod
    def encode(
        self, tokenizer: Tokenizer, task: Task, labels: LabelScheme, end: int, columns: Mapping[str, list[Any]]
    ) -> Encoded:
        """Make the token arrays of a prepared split.

        Args:
            tokenizer: tokenizer of the backbone.
            task: task of the rows.
            labels: label words, or the digits of unified labels.
            end: id of the end-of-sequence token.
            columns: columns of the prepared split (`petscale.data.prepare.SCHEMA`).

        Raises:
            BadInput: the tokenizer does not end sequences with that token.
        """

    @abstractmethod
    def label_tokens(self, tokenizer: Tokenizer, task: Task, labels: LabelScheme, end: int) -> list[list[int]]:
        """Token ids of each label with the end of sequence; empty if the model does not generate labels."""

    def step_mask(self, mask: torch.Tensor) -> torch.Tensor | None:
        """The attention mask ``(b, s)`` of booleans of a training step, in the form that the model takes.

        The mask is on the host. Models of transformers take the form into which they need not look, for they would wait
        for the device (`petscale.families.forms.masks.whole`); a family of other models returns the form of its own.
        None leaves the mask out.
        """
        from petscale.families.forms.masks import whole

        return whole(mask)

    @abstractmethod
    def collate(self, examples: Examples, indices: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """Make the batch for the model's forward pass: examples padded to the longest of them, with labels."""

    # The model ---------------------------------------------------------------------------------------------

    @abstractmethod
    def new_model(self, config: dict[str, Any], num_labels: int | None) -> Any:
        """Make the model of transformers with undefined weights (the caller works on the meta device).

        Args:
            config: the content of `config.json`.
            num_labels: units of the classification head; None if the family has none.

        Raises:
            BadInput: a head is needed and `num_labels` is None.
        """

    def copies(self, stored: Collection[str], same: Same | None) -> frozenset[str]:
        """Names of stored tensors that hold nothing of their own: copies of others, and tables that no model reads.

        A file may hold one matrix under several names; what is tied is then decided by the values, as transformers
        does.

        Args:
            stored: names of all tensors of a checkpoint.
            same: whether two of them are equal; None if only the names are known.

        Raises:
            BadInput: two tensors differ that are one in every model of this family.
        """
        return frozenset()

    @abstractmethod
    def names(self, stored: Collection[str]) -> dict[str, str]:
        """Stored name -> name in the model, for the tensors that the model uses.

        Args:
            stored: names of all tensors of a checkpoint, without `copies`.
        """

    @abstractmethod
    def complete(
        self, state: dict[str, torch.Tensor], config: Any, *, head_seed: int, dtype: torch.dtype, device: str
    ) -> None:
        """Add tensors that no file contains to `state`: a tied output matrix, a randomly drawn classification head."""

    @abstractmethod
    def finish(self, model: Any, device: str) -> None:
        """Set ties and constant buffers, after the tensors were set as the model's parameters."""

    @property
    def derived(self) -> frozenset[str]:
        """Names in the model's state whose tensors are made from others and are in no file."""
        return frozenset()

    @abstractmethod
    def head(self, model: Any) -> dict[str, torch.nn.Parameter]:
        """The parameters of the classification head by name; empty if the family has none."""

    @abstractmethod
    def check_ties(self, model: torch.nn.Module, shape: BackboneShape) -> None:
        """Check that a model ties the matrices that are tied according to the shape, so that a plan's counts are right.

        Raises:
            BadInput: the ties differ, or it is a model of another family.
        """

    @abstractmethod
    def insert_tokens(self, model: Any, module: str, count: int, tokens: Callable[[torch.dtype], torch.Tensor]) -> Any:
        """Insert trained vectors into the input sequence (`concat-input`).

        Args:
            model: the backbone, possibly with a head.
            module: path of the module whose input is changed, from the inventory's place of kind `input`.
            count: number of vectors.
            tokens: function that returns the vectors ``(count, d)`` in the given dtype.

        Returns:
            Handles whose `remove` undoes the insertion.
        """

    def position_scores(
        self, model: Any, attention: str, query: torch.Tensor, key: torch.Tensor
    ) -> torch.Tensor | None:
        """The scores that relative positions add in an attention; None if they add none there.

        Args:
            model: the backbone, possibly with a head.
            attention: path of the attention.
            query: positions ``(queries,)``.
            key: positions ``(keys,)``, which may be negative.

        Returns:
            ``(1, heads, queries, keys)``.
        """
        return None

    def shard_units(self, model: Any) -> list[Any]:
        """Modules that sharded training gathers one at a time; the rest of the model is one more unit."""
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
        """Compute the model's answer to each example of the batches, and its scores.

        Args:
            model: the model, in evaluation mode.
            examples: all examples of the split.
            task: task of the examples.
            labels: the scheme of label words.
            decode: function from ids to text, for families that generate text.
            batches: indices and input tensors, as `collate` makes them, without labels.

        Raises:
            ValueError: the family generates text, and `decode` is None.
        """

    @abstractmethod
    def label_words(self, task: Task, labels: LabelScheme) -> dict[int, str]:
        """The label word for each value that `Examples.label` can have."""
