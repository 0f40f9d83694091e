"""The family BERT, as `BertForSequenceClassification` of transformers 5; the head does not belong to the backbone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from petscale.errors import BadInput
from petscale.families.bert import parts
from petscale.families.config_keys import row, size
from petscale.families.forms.encoder import Encoder
from petscale.families.parts import Place, Weight
from petscale.families.shape import BackboneShape

if TYPE_CHECKING:
    import torch

_PREFIX = "bert."
# Constant buffers, which older code stored.
_BUFFERS = frozenset({"bert.embeddings.position_ids", "bert.embeddings.token_type_ids"})
# Heads of pre-training and of a task, which a file without the prefix may hold beside the encoder.
_HEADS = ("cls.", "classifier.")
_HEAD = "classifier."


class BertFamily(Encoder):
    """The BERT family."""

    name = "bert"
    end_token = "[SEP]"
    pad_token = "[PAD]"
    dropout_keys = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")

    def read_shape(self, config: Mapping[str, Any], tensor_names: Collection[str] | None) -> BackboneShape:
        """Read the shape from a BERT `config.json`; heads share the hidden size evenly.

        Raises:
            BadInput: a number is missing or impossible, or the heads do not divide the hidden size.
        """
        d_model, heads = size(config, "hidden_size"), size(config, "num_attention_heads")
        vocab = size(config, "vocab_size")
        if d_model % heads:
            raise BadInput(f"config key num_attention_heads: {heads} does not divide hidden_size {d_model}")
        return BackboneShape(
            family=self.name,
            d_model=d_model,
            d_ff=size(config, "intermediate_size"),
            heads=heads,
            d_kv=d_model // heads,
            layers=size(config, "num_hidden_layers"),
            decoder_layers=0,
            vocab=vocab,
            max_positions=size(config, "max_position_embeddings"),
            type_vocab=size(config, "type_vocab_size", 2),
            pad_token=row(config, "pad_token_id", vocab, 0),
        )

    def parameters(self, shape: BackboneShape) -> int:
        """Embeddings with their norm, blocks of attention and feed-forward network, and the pooler; all with biases."""
        d, inner, ff = shape.d_model, shape.inner, shape.d_ff
        embeddings = (shape.vocab + shape.max_positions + shape.type_vocab) * d + 2 * d
        attention = 3 * (d * inner + inner) + inner * d + d + 2 * d
        feed_forward = d * ff + ff + ff * d + d + 2 * d
        pooler = d * d + d
        return embeddings + shape.layers * (attention + feed_forward) + pooler

    def weights(
        self, shape: BackboneShape, target_length: int | None, more_keys: frozenset[str] = frozenset()
    ) -> tuple[Weight, ...]:
        """Every tensor of the encoder once. The target length has no effect, since BERT generates nothing."""
        return parts.weights(shape, more_keys)

    def places(
        self, shape: BackboneShape, target_length: int | None, more_keys: frozenset[str] = frozenset()
    ) -> tuple[Place, ...]:
        """Every place for an insertion in the encoder; they are the same for all targets."""
        return parts.places(shape)

    def new_model(self, config: dict[str, Any], num_labels: int | None) -> Any:
        """A `BertForSequenceClassification` with undefined weights.

        Raises:
            BadInput: the number of labels is None, since BERT answers by a head.
        """
        from transformers.models.bert.configuration_bert import BertConfig
        from transformers.models.bert.modeling_bert import BertForSequenceClassification

        if num_labels is None:
            raise BadInput("a classification head needs a number of labels")
        for key in ("id2label", "label2id", "problem_type"):
            config.pop(key, None)
        config["num_labels"] = num_labels
        # Cross-entropy on integer labels, also for two classes.
        config["problem_type"] = "single_label_classification"
        return BertForSequenceClassification(BertConfig.from_dict(config))

    def names(self, stored: Collection[str]) -> dict[str, str]:
        """Leave out heads, add the prefix that a bare encoder lacks, and rename TensorFlow's gamma and beta."""
        prefixed = any(name.startswith(_PREFIX) for name in stored)
        found = {}
        for name in stored:
            if name.startswith(_PREFIX) if prefixed else not name.startswith(_HEADS):
                current = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
                    "LayerNorm.beta", "LayerNorm.bias"
                )
                found[name] = current if prefixed else _PREFIX + current
        return {name: current for name, current in found.items() if current not in _BUFFERS}

    def complete(
        self, state: dict[str, torch.Tensor], config: Any, *, head_seed: int, dtype: torch.dtype, device: str
    ) -> None:
        """Draw the head from `head_seed`: normal weights with the config's standard deviation, and zero biases."""
        import torch

        generator = torch.Generator().manual_seed(head_seed)
        weight = torch.empty(config.num_labels, config.hidden_size)
        weight.normal_(0.0, config.initializer_range, generator=generator)
        tensors = {f"{_HEAD}weight": weight, f"{_HEAD}bias": torch.zeros(config.num_labels)}
        state |= {name: tensor.to(device=device, dtype=dtype) for name, tensor in tensors.items()}

    def finish(self, model: Any, device: str) -> None:
        """Set BERT's constant buffers, which are in no file: positions 0, 1, ... and segment 0."""
        import torch

        embeddings = model.bert.embeddings
        positions = torch.arange(embeddings.position_ids.shape[1], device=device)[None]
        embeddings.position_ids = positions
        embeddings.token_type_ids = torch.zeros_like(positions)

    def head(self, model: Any) -> dict[str, torch.nn.Parameter]:
        """Weight and bias of the linear classifier above the pooler."""
        return dict(model.classifier.named_parameters())

    def check_ties(self, model: torch.nn.Module, shape: BackboneShape) -> None:
        """Check that nothing is tied, as in every encoder with a classification head."""

    def insert_tokens(self, model: Any, module: str, count: int, tokens: Callable[[torch.dtype], torch.Tensor]) -> Any:
        """Insert the vectors after [CLS], which the pooler reads and which must stay at the first position."""
        from petscale.families.bert.prompts import insert_tokens

        return insert_tokens(model, module, count, tokens)
