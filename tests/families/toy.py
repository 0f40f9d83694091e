"""A family that src/ does not know: a bag of words with two matrices, which has the form of an encoder."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from petscale.errors import BadInput
from petscale.families.config_keys import size
from petscale.families.forms.encoder import Encoder
from petscale.families.parts import Place, Weight
from petscale.families.shape import BackboneShape


class BagOfWords(nn.Module):
    """The mean of the word vectors through one hidden layer, and a classification head."""

    def __init__(self, config: Mapping[str, Any], num_labels: int) -> None:
        super().__init__()
        self.config = SimpleNamespace(num_labels=num_labels, hidden_size=config["width"])
        self.words = nn.Embedding(config["words"], config["width"])
        self.layer = nn.Linear(config["width"], config["width"])
        self.classifier = nn.Linear(config["width"], num_labels)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.words

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, labels: Tensor | None = None
    ) -> Any:
        mask = attention_mask[..., None].to(self.words.weight.dtype)
        mean = (self.words(input_ids) * mask).sum(1) / mask.sum(1)
        logits = self.classifier(torch.tanh(self.layer(mean)))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SimpleNamespace(loss=loss, logits=logits)


class Toy(Encoder):
    """The family of bags of words."""

    name = "toy"
    end_token = "[SEP]"
    pad_token = "[PAD]"
    dropout_keys = ()

    def read_shape(self, config: Mapping[str, Any], tensor_names: Collection[str] | None) -> BackboneShape:
        width = size(config, "width")
        return BackboneShape(
            self.name, width, width, heads=1, d_kv=width, layers=1, decoder_layers=0, vocab=size(config, "words")
        )

    def parameters(self, shape: BackboneShape) -> int:
        return shape.vocab * shape.d_model + shape.d_model**2 + shape.d_model

    def weights(
        self, shape: BackboneShape, target_length: int | None, more_keys: frozenset[str] = frozenset()
    ) -> tuple[Weight, ...]:
        d = shape.d_model
        return (
            Weight("words", "weight", "vocabulary", (shape.vocab, d), "encoder"),
            Weight("layer", "weight", "ffn.down", (d, d), "encoder", layer=0),
            Weight("layer", "bias", "ffn.down.bias", (d,), "encoder", layer=0),
        )

    def places(
        self, shape: BackboneShape, target_length: int | None, more_keys: frozenset[str] = frozenset()
    ) -> tuple[Place, ...]:
        return (Place("layer", "branch", "ffn.down", shape.d_model, shape.d_model, "encoder"),)

    def step_mask(self, mask: Tensor) -> Tensor:
        return mask  # no model of transformers

    def new_model(self, config: dict[str, Any], num_labels: int | None) -> Any:
        assert num_labels is not None
        return BagOfWords(config, num_labels)

    def names(self, stored: Collection[str]) -> dict[str, str]:
        return {name: name for name in stored}

    def complete(
        self, state: dict[str, Tensor], config: Any, *, head_seed: int, dtype: torch.dtype, device: str
    ) -> None:
        weight = torch.empty(config.num_labels, config.hidden_size)
        weight.normal_(0.0, 0.02, generator=torch.Generator().manual_seed(head_seed))
        state |= {"classifier.weight": weight, "classifier.bias": torch.zeros(config.num_labels)}

    def finish(self, model: Any, device: str) -> None:
        pass

    def head(self, model: Any) -> dict[str, nn.Parameter]:
        return dict(model.classifier.named_parameters())

    def check_ties(self, model: nn.Module, shape: BackboneShape) -> None:
        pass

    def insert_tokens(self, model: Any, module: str, count: int, tokens: Callable[[torch.dtype], Tensor]) -> Any:
        raise BadInput("a bag of words has no place for soft tokens")


def write_toy(folder: Path, tokenizer: Path, words: int, width: int = 8) -> None:
    """A backbone folder of the family, with random weights."""
    torch.manual_seed(0)
    config = {"model_type": "toy", "words": words, "width": width}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    state = BagOfWords(config, 2).state_dict()
    save_file(
        {name: value for name, value in state.items() if not name.startswith("classifier.")},
        folder / "model.safetensors",
    )
