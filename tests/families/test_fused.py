"""The fused operations of T5 are transformers' functions, up to the stated rounding."""

from __future__ import annotations

import copy
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5ForConditionalGeneration, T5LayerNorm

from petscale.families.t5.fused import RMSNorm, new_model

CONFIG: dict[str, Any] = {
    "model_type": "t5",
    "vocab_size": 60,
    "d_model": 24,
    "d_ff": 40,
    "d_kv": 6,
    "num_heads": 4,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "dropout_rate": 0.0,
    "decoder_start_token_id": 0,
}
DTYPES = (torch.float32, torch.bfloat16)


def pair(feed_forward: str, **changes: Any) -> tuple[T5ForConditionalGeneration, T5ForConditionalGeneration]:
    """The fused model, and transformers' own with the same weights."""
    document = {**CONFIG, "feed_forward_proj": feed_forward, **changes}
    torch.manual_seed(0)
    theirs = T5ForConditionalGeneration(T5Config.from_dict(copy.deepcopy(document)))
    ours = new_model(document)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, 60, (3, 11), generator=generator)
    mask = (torch.arange(11) < torch.tensor([[11], [7], [4]])).long()
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.randint(3, 60, (3, 5), generator=generator)}


def distance(found: Tensor, expected: Tensor) -> float:
    """The difference, in parts of the expected tensor's length."""
    return float(((found - expected).norm() / expected.norm()).detach())


@pytest.mark.parametrize("feed_forward", ["gated-gelu", "relu"])
def test_losses_logits_and_gradients_are_those_of_transformers(feed_forward: str) -> None:
    """In float32 they differ by rounding, at most 1e-5 of a tensor's length."""
    ours, theirs = pair(feed_forward)
    outputs = [model(**batch()) for model in (ours, theirs)]
    assert distance(outputs[0].logits, outputs[1].logits) < 1e-5
    for output in outputs:
        output.loss.backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        assert distance(parameter.grad, expected[name].grad) < 1e-5, name


def test_in_float64_nothing_but_rounding_differs() -> None:
    """So the differences in float32 are no difference of formulas."""
    ours, theirs = (model.double() for model in pair("gated-gelu"))
    # transformers' norm computes its variance in float32 whatever the dtype, so its error is that of float32.
    for module in theirs.modules():
        if isinstance(module, T5LayerNorm):
            module.forward = lambda x, m=module: m.weight * x / (x.square().mean(-1, True) + m.variance_epsilon).sqrt()
    assert distance(ours(**batch()).logits, theirs(**batch()).logits) < 1e-12


@pytest.mark.parametrize(("weight", "given"), list(product(DTYPES, DTYPES)))
def test_norm_keeps_dtype_and_precision(weight: torch.dtype, given: torch.dtype) -> None:
    """For each pair of dtypes the result has the dtype of transformers', and is as near to float64's."""
    torch.manual_seed(0)
    theirs = T5LayerNorm(64)
    torch.nn.init.normal_(theirs.weight)
    theirs.to(weight)
    ours = copy.deepcopy(theirs)
    ours.__class__ = RMSNorm
    x = torch.randn(50, 64).to(given)
    wide = x.double()
    exact = theirs.weight.double() * wide / (wide.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    assert ours(x).dtype == theirs(x).dtype
    assert distance(ours(x), exact) <= max(1.01 * distance(theirs(x), exact), 2e-7)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
@pytest.mark.parametrize(("queries", "keys", "past"), [(11, 11, 0), (1, 9, 8), (200, 200, 0)])
def test_biases_of_positions_are_equal(part: str, queries: int, keys: int, past: int) -> None:
    """Bit for bit, also for distances past the last bucket and for a decoder that goes on from its cache."""
    found = []
    for model in pair("gated-gelu"):
        attention = getattr(model, part).block[0].layer[0].SelfAttention
        found.append([attention.compute_bias(queries, keys, past_seen_tokens=past) for _ in range(2)])
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][0])


def test_a_cache_is_kept_when_asked_for() -> None:
    ours, theirs = pair("gated-gelu")
    with torch.no_grad():
        assert ours(**batch()).past_key_values is None
        inputs = {key: value for key, value in batch().items() if key != "labels"}
        found = []
        for model in (ours, theirs):
            first = model(**inputs, decoder_input_ids=torch.tensor([[0, 5]] * 3), use_cache=True)
            found.append(
                model(
                    encoder_outputs=(first.encoder_last_hidden_state,),
                    attention_mask=inputs["attention_mask"],
                    decoder_input_ids=torch.tensor([[7]] * 3),
                    past_key_values=first.past_key_values,
                    use_cache=True,
                ).logits
            )
    assert distance(*found) < 1e-5
