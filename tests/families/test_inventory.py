"""The inventory lists every tensor of the transformers models once, with its name, shape and dead entries."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

from petscale.backbones.catalogue import lookup
from petscale.errors import BadInput
from petscale.families.registry import total_parameters
from petscale.families.shape import BackboneShape
from petscale.families.t5.parts import reachable_buckets
from petscale.tuning.inventory import inventory


def _model(shape: BackboneShape) -> torch.nn.Module:
    with torch.device("meta"):
        if shape.family == "bert":
            return BertForSequenceClassification(
                BertConfig(
                    hidden_size=shape.d_model,
                    intermediate_size=shape.d_ff,
                    num_attention_heads=shape.heads,
                    num_hidden_layers=shape.layers,
                )
            )
        model = T5ForConditionalGeneration(
            T5Config(
                d_model=shape.d_model,
                d_ff=shape.d_ff,
                d_kv=shape.d_kv,
                num_heads=shape.heads,
                num_layers=shape.layers,
                feed_forward_proj="gated-gelu" if shape.gated else "relu",
            )
        )
        if not shape.tied:
            model.lm_head.weight = torch.nn.Parameter(torch.empty(shape.vocab, shape.d_model))
        return model


@pytest.mark.parametrize("name", ["t5-v1_1-small", "t5-large", "bert-small"])
def test_weights_are_the_models_parameters(name: str) -> None:
    shape = lookup(name).shape
    model = _model(shape)
    listed = {weight.name: weight.shape for weight in inventory(shape).weights}
    found = {
        parameter_name: tuple(parameter.shape)
        for parameter_name, parameter in model.named_parameters()
        if not parameter_name.startswith("classifier.")
    }
    assert listed == found
    assert sum(weight.size for weight in inventory(shape).weights) == total_parameters(shape)


@pytest.mark.parametrize("name", ["t5-v1_1-small", "t5-large", "bert-small"])
def test_places_are_modules_of_the_widths_that_they_claim(name: str) -> None:
    shape = lookup(name).shape
    modules = dict(_model(shape).named_modules())
    for place in inventory(shape).places:
        module = modules[place.module]
        if isinstance(module, torch.nn.Linear):
            assert place.width_out == module.out_features
            assert place.kind != "bias" or module.bias is None
            assert place.kind != "branch" or place.width_in == module.in_features


@pytest.mark.parametrize(("buckets", "distance"), [(32, 128), (16, 64), (8, 16)])
@pytest.mark.parametrize("target", [2, 3, 9, 40, None])
def test_reachable_buckets_are_those_that_transformers_reads(buckets: int, distance: int, target: int | None) -> None:
    shape = BackboneShape("t5", 8, 8, 1, 8, 1, 1, 9, relative_buckets=buckets, relative_distance=distance)
    for stack, length, both in (("encoder", 3 * distance, True), ("decoder", target or 3 * distance, False)):
        position = torch.arange(length)
        relative = position[None, :] - position[:, None]
        seen = T5Attention._relative_position_bucket(relative, both, buckets, distance)
        if stack == "decoder":
            seen = seen[relative <= 0]  # the causal mask hides the rest
        assert reachable_buckets(shape, stack, target) == set(seen.flatten().tolist())


def test_planning_imports_no_torch() -> None:
    """A plan of an 11B backbone takes milliseconds, and importing torch would take seconds."""
    code = (
        "import sys, petscale.tuning.registry as r, petscale.backbones.catalogue as c;"
        "r.make_plan(c.lookup('t5-11b').shape, 'apet-discrete', budget=1000);"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_target_below_one_token_is_refused() -> None:
    with pytest.raises(BadInput, match="target_length"):
        inventory(lookup("t5-v1_1-small").shape, 0)
