"""The catalogue has the papers' backbones by name and alias, and the mini backbones with their true shapes."""

from __future__ import annotations

import pytest
import torch

from petscale.backbones.catalogue import CATALOGUE, lookup
from petscale.errors import BadInput
from petscale.families.registry import total_parameters
from petscale.mini.specs import RANDOM, SPECS
from petscale.pretraining.models import new_bert, new_t5
from petscale.pretraining.tokenizer import bert_tokenizer, t5_tokenizer


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("t5-v1_1-xxl", "google/t5-v1_1-xxl"),
        ("google/t5-v1_1-xxl", "google/t5-v1_1-xxl"),
        ("bert-small", "google/bert_uncased_L-4_H-512_A-8"),
        ("google-t5/t5-11b", "t5-11b"),
    ],
)
def test_aliases(alias: str, name: str) -> None:
    assert lookup(alias).name == name


def test_an_unknown_name_proposes_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean t5-v1_1-small"):
        lookup("t5-v1_1-smal")
    with pytest.raises(BadInput, match="unknown backbone"):
        lookup("zzz")


@pytest.mark.parametrize("name", SPECS)
def test_mini_shapes_are_those_of_the_mini_models(name: str) -> None:
    """Guards the numbers that the catalogue repeats because mini.models imports torch."""
    spec, shape = SPECS[name], lookup(name).shape
    tokenizer = t5_tokenizer() if spec.family == "t5" else bert_tokenizer()
    assert shape.vocab == len(tokenizer)
    with torch.device("meta"):
        model = new_t5(spec, len(tokenizer)) if spec.family == "t5" else new_bert(spec, len(tokenizer)).bert
    if spec.family == "t5":
        assert model.config.relative_attention_num_buckets == shape.relative_buckets
        assert model.config.relative_attention_max_distance == shape.relative_distance
    counted = sum(parameter.numel() for parameter in model.parameters())
    head = shape.vocab * shape.d_model if spec.family == "t5" and model.lm_head.weight is model.shared.weight else 0
    assert counted + head == total_parameters(shape)


def test_every_mini_backbone_has_a_random_control_of_equal_shape() -> None:
    for name in SPECS:
        assert CATALOGUE[name + RANDOM].shape == CATALOGUE[name].shape
        assert CATALOGUE[name + RANDOM].source == "random"
