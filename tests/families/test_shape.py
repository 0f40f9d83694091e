"""Shapes give the published totals and those of the transformers models; the tensors decide tying, not the config."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertModel, T5Config, T5ForConditionalGeneration

from petscale.backbones.catalogue import lookup
from petscale.errors import BadInput
from petscale.families.registry import shape_from_config, total_parameters
from petscale.families.shape import BackboneShape

TOTALS = {  # published totals; T5 v1.0 from the transformers models on the meta device
    "google/t5-v1_1-small": 76_961_152,
    "google/t5-v1_1-base": 247_577_856,
    "google/t5-v1_1-large": 783_150_080,
    "google/t5-v1_1-xl": 2_849_757_184,
    "google/t5-v1_1-xxl": 11_135_332_352,
    "t5-large": 737_668_096,
    "t5-3b": 2_851_598_336,
    "t5-11b": 11_307_321_344,
    "google/bert_uncased_L-4_H-512_A-8": 28_763_648,
    "google/bert_uncased_L-12_H-768_A-12": 109_482_240,
    "bert-large-uncased": 335_141_888,
}


@pytest.mark.parametrize(("name", "total"), TOTALS.items())
def test_totals_are_those_of_the_facts(name: str, total: int) -> None:
    assert total_parameters(lookup(name).shape) == total


@pytest.mark.parametrize("name", TOTALS)
def test_totals_are_those_of_the_transformers_models(name: str) -> None:
    shape = lookup(name).shape
    with torch.device("meta"):
        if shape.family == "bert":
            model: torch.nn.Module = BertModel(
                BertConfig(
                    hidden_size=shape.d_model,
                    intermediate_size=shape.d_ff,
                    num_attention_heads=shape.heads,
                    num_hidden_layers=shape.layers,
                )
            )
        else:
            model = T5ForConditionalGeneration(_t5_config(shape))
            if not shape.tied:
                model.lm_head.weight = torch.nn.Parameter(torch.empty(shape.vocab, shape.d_model))
    assert sum(parameter.numel() for parameter in model.parameters()) == total_parameters(shape)


def _t5_config(shape: BackboneShape) -> T5Config:
    return T5Config(
        d_model=shape.d_model,
        d_ff=shape.d_ff,
        d_kv=shape.d_kv,
        num_heads=shape.heads,
        num_layers=shape.layers,
        feed_forward_proj="gated-gelu" if shape.gated else "relu",
    )


def test_tying_comes_from_the_tensors() -> None:
    """Regression guard: every T5 config that transformers 5 writes says tied (60.5 M for T5-small, not 77.0 M)."""
    shape = lookup("t5-v1_1-small").shape
    config = _t5_config(shape).to_dict()
    assert config["tie_word_embeddings"] is True
    assert shape_from_config(config, {"shared.weight", "lm_head.weight"}) == shape
    assert total_parameters(shape_from_config(config, {"shared.weight"})) == 76_961_152 - 32128 * 512
    hub = {**config, "tie_word_embeddings": False}
    assert shape_from_config(hub) == shape


def test_a_shape_survives_json() -> None:
    shape = lookup("bert-small").shape
    assert BackboneShape.from_json(shape.to_json()) == shape
    with pytest.raises(BadInput, match="field heads"):
        BackboneShape.from_json({key: value for key, value in shape.to_json().items() if key != "heads"})


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"model_type": "gpt2"}, "key model_type: 'gpt2'"),
        ({"d_model": None}, "key d_model"),
        ({"num_layers": -1}, "key num_layers"),
        ({"num_heads": True}, "key num_heads"),
    ],
)
def test_a_config_that_cannot_be_used_is_one_clear_line(change: dict[str, object], line: str) -> None:
    with pytest.raises(BadInput, match=line):
        shape_from_config({**_t5_config(lookup("t5-v1_1-small").shape).to_dict(), **change})
