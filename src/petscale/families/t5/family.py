"""The family T5 (v1.0 and v1.1), as `T5ForConditionalGeneration` of transformers 5."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from petscale.errors import BadInput
from petscale.families.config_keys import row, size
from petscale.families.family import Same
from petscale.families.forms.encoder_decoder import EncoderDecoder
from petscale.families.parts import Place, Weight
from petscale.families.shape import BackboneShape
from petscale.families.t5 import parts

if TYPE_CHECKING:
    import torch

_SHARED = "shared.weight"
_HEAD = "lm_head.weight"
_EMBEDDINGS = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
# A file holds the shared matrix under one or more of these names; the first one that is there counts, as in
# `PreTrainedModel.tie_weights` of transformers 5.
_NAMES = (_SHARED, *_EMBEDDINGS, _HEAD)
# A table that older T5 code created but never read; some published files contain it.
_UNREAD = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"


class T5Family(EncoderDecoder):
    """The T5 family."""

    name = "t5"
    end_token = "</s>"
    pad_token = "<pad>"
    dropout_keys = ("dropout_rate", "classifier_dropout")

    def read_shape(self, config: Mapping[str, Any], tensor_names: Collection[str] | None) -> BackboneShape:
        """Read the shape from a T5 `config.json`; the stored tensors decide whether the output matrix is tied.

        Raises:
            BadInput: a number is missing or impossible.
        """
        layers = size(config, "num_layers")
        says_tied = bool(config.get("tie_word_embeddings", True))
        decoder_layers = config.get("num_decoder_layers")
        return BackboneShape(
            family=self.name,
            d_model=size(config, "d_model"),
            d_ff=size(config, "d_ff"),
            heads=size(config, "num_heads"),
            d_kv=size(config, "d_kv"),
            layers=layers,
            decoder_layers=layers if decoder_layers is None else size(config, "num_decoder_layers"),
            vocab=size(config, "vocab_size"),
            gated=str(config.get("feed_forward_proj", "relu")).startswith("gated"),
            tied=says_tied if tensor_names is None else _HEAD not in tensor_names,
            relative_buckets=size(config, "relative_attention_num_buckets", 32),
            relative_distance=size(config, "relative_attention_max_distance", 128),
        )

    def parameters(self, shape: BackboneShape) -> int:
        """Encoder, decoder with cross-attention, both relative-position tables, and one or two vocabulary matrices."""
        d, attention = shape.d_model, 4 * shape.d_model * shape.inner
        feed_forward = (3 if shape.gated else 2) * d * shape.d_ff
        relative = shape.relative_buckets * shape.heads
        encoder = shape.layers * (attention + feed_forward + 2 * d) + d + relative
        decoder = shape.decoder_layers * (2 * attention + feed_forward + 3 * d) + d + relative
        return shape.vocab * d * (1 if shape.tied else 2) + encoder + decoder

    def weights(
        self, shape: BackboneShape, target_length: int | None, more_keys: frozenset[str] = frozenset()
    ) -> tuple[Weight, ...]:
        """Every tensor of both stacks once; with a target of one token, parts of the decoder are dead."""
        return parts.weights(shape, target_length, more_keys)

    def places(
        self, shape: BackboneShape, target_length: int | None, more_keys: frozenset[str] = frozenset()
    ) -> tuple[Place, ...]:
        """Every place for an insertion in both stacks."""
        return parts.places(shape, target_length, more_keys)

    def new_model(self, config: dict[str, Any], num_labels: int | None) -> Any:
        """A T5 for conditional generation with fused operations and undefined weights.

        Raises:
            BadInput: the first token of the decoder or that for padding is outside the vocabulary.
        """
        from petscale.families.t5 import fused

        for key in ("decoder_start_token_id", "pad_token_id"):  # the first token that is read, and targets' padding
            config[key] = row(config, key, size(config, "vocab_size"), 0 if key == "pad_token_id" else None)
        return fused.new_model(config)

    def copies(self, stored: Collection[str], same: Same | None) -> frozenset[str]:
        """The names of the shared matrix after the first, and the output matrix where it is equal to that one.

        Without values, an output matrix counts as one of its own, which it is in every published file of T5 v1.1.

        Raises:
            BadInput: an encoder or a decoder has an embedding of its own.
        """
        found = {_UNREAD} & set(stored)
        first, *others = [name for name in _NAMES if name in stored] or [_SHARED]
        for name in others:
            if same(first, name) if same is not None else name != _HEAD:
                found.add(name)
            elif name != _HEAD:
                raise BadInput(
                    f"tensor {name}: differs from {first}; a T5 whose encoder or decoder has an embedding of its own is"
                    " not supported"
                )
        return frozenset(found)

    def names(self, stored: Collection[str]) -> dict[str, str]:
        """Call the vocabulary matrix `shared`, under which of its names it may be stored."""
        first = next((name for name in _NAMES if name in stored), _SHARED)
        return {name: _SHARED if name == first else name for name in stored}

    @property
    def derived(self) -> frozenset[str]:
        """The names of the embeddings of both stacks, which are the shared matrix."""
        return frozenset(_EMBEDDINGS)

    def complete(
        self, state: dict[str, torch.Tensor], config: Any, *, head_seed: int, dtype: torch.dtype, device: str
    ) -> None:
        """If the file has no output matrix, use the embedding matrix."""
        if _SHARED in state:
            state.setdefault(_HEAD, state[_SHARED])

    def finish(self, model: Any, device: str) -> None:
        """Tie encoder and decoder to the shared matrix, and also the head if the file has no output matrix."""
        model.encoder.embed_tokens.weight = model.shared.weight
        model.decoder.embed_tokens.weight = model.shared.weight
        if model.lm_head.weight.data_ptr() == model.shared.weight.data_ptr():
            model.lm_head.weight = model.shared.weight

    def check_ties(self, model: torch.nn.Module, shape: BackboneShape) -> None:
        """Check the output head, which transformers 5 unties only if a checkpoint has one."""
        modules = dict(model.named_modules())
        used = [getattr(modules.get(name), "weight", None) for name in ("shared", "encoder.embed_tokens", "lm_head")]
        if any(weight is None for weight in used):
            raise BadInput("plan: made for a T5 with a language-modelling head, the model is another backbone")
        tied = used[2] is used[0]
        if tied != shape.tied or used[1] is not used[0]:
            said, found = ("tied" if flag else "untied" for flag in (shape.tied, tied))
            raise BadInput(f"plan: its backbone's vocabulary matrices are {said}, the model's are {found}")

    def insert_tokens(self, model: Any, module: str, count: int, tokens: Callable[[torch.dtype], torch.Tensor]) -> Any:
        """Insert the vectors before the encoder's input; the mask of cross-attention is extended too."""
        from petscale.families.t5.prompts import insert_tokens

        return insert_tokens(model, module, count, tokens)

    def position_scores(
        self, model: Any, attention: str, query: torch.Tensor, key: torch.Tensor
    ) -> torch.Tensor | None:
        """The scores from the table of the stack; cross-attention has none."""
        table_path = parts.table_of(attention)
        if table_path is None:
            return None
        first = model.get_submodule(table_path)  # the attention that has the table of its stack
        buckets = first._relative_position_bucket(
            key[None, :] - query[:, None],
            bidirectional=not first.is_decoder,
            num_buckets=first.relative_attention_num_buckets,
            max_distance=first.relative_attention_max_distance,
        )
        scores: torch.Tensor = first.relative_attention_bias(buckets).permute(2, 0, 1)[None]
        return scores
