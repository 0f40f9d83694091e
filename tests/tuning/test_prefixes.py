"""Prefixes against attention written out densely in float64, and the lines with which they are refused.

HF PEFT is no reference: on T5 it puts prefixes into the decoder's self-attention only. The adapters library shifts the
positions of T5, which tests/tuning/test_library.py compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.models.t5.modeling_t5 import T5Attention

from petscale.errors import BadInput
from petscale.tuning.install import install
from petscale.tuning.method import Method
from petscale.tuning.methods.prefix import PREFIX
from petscale.tuning.methods.prefix_flat import PREFIX_FLAT
from petscale.tuning.methods.unipelt import UNIPELT
from petscale.tuning.plan import Plan, Site, Trained
from petscale.tuning.registry import make_plan

from .tiny import TINY, Tiny, randomise, tiny_bert, tiny_t5

NETWORK = {"tokens": 3, "middle": 5}


def _gated_prefixes(offered: Any, request: Any) -> Iterator[Site | Trained]:
    """The prefixes of UniPELT alone."""
    for one in UNIPELT.build(offered, request):
        if isinstance(one, Trained) or one.operation == "concat-keys":
            yield one


GATED = replace(UNIPELT, name="gated-prefixes", operations=("concat-keys",), build=_gated_prefixes)


@contextmanager
def dense(tiny: Tiny, plan: Plan, state: dict[str, Tensor]) -> Iterator[None]:
    """Compute every attention of a model as written in the paper, with the prefixes of a plan."""
    sites = {site.module: site for site in plan.sites}
    modules = {path: module for path, module in tiny.model.named_modules() if path in sites}
    hooks = []
    for path, module in modules.items():
        module.path, module.states = path, []
        hooks.append(module.register_forward_pre_hook(lambda m, args: m.states.append(args[0])))

    def attend(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        position_bias: Any = None,
        **kw: Any,
    ) -> tuple[Tensor, None]:
        site, h = sites[module.path], module.states.pop()
        keys, values = (_vectors(plan, site, part, state) for part in ("keys", "values"))
        gate = _gate(site, h, state)
        output = torch.zeros_like(query).transpose(1, 2)
        for b, head, i in torch.cartesian_prod(*(torch.arange(size) for size in query.shape[:3])).tolist():
            scores = torch.cat([gate[b, i] * keys[head] @ query[b, head, i], key[b, head] @ query[b, head, i]])
            scores = scores * kw["scaling"]
            if position_bias is not None:
                scores = scores + _positions(tiny, site, position_bias[0, head, i], head, i, len(keys[head]))
            if mask is not None:
                visible = mask[b, 0, min(i, mask.shape[2] - 1)]
                scores[len(keys[head]) :][~visible] = -torch.inf
            elif module.is_causal:
                scores[len(keys[head]) + i + 1 :] = -torch.inf
            weights = scores.softmax(0)
            output[b, i, head] = weights @ torch.cat([gate[b, i] * values[head], value[b, head]])
        return output, None

    AttentionInterface.register("dense-reference", attend)
    configs = {id(module.config): module.config for module in modules.values()}
    try:
        for config in configs.values():
            config._attn_implementation_internal = "dense-reference"
        with _sdpa_masks():
            yield
    finally:
        for config in configs.values():
            config._attn_implementation_internal = "sdpa"
        for hook in hooks:
            hook.remove()


@contextmanager
def _sdpa_masks() -> Iterator[None]:
    from transformers import AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionMaskInterface.register("dense-reference", sdpa_mask)
    yield


def _vectors(plan: Plan, site: Site, part: str, state: dict[str, Tensor]) -> Tensor:
    """The prefix of one attention, ``(heads, tokens, d_kv)``."""
    named = {key: state[name.key] for key, name in plan.tensors_of(site).items()}
    if site.parametrisation == "plain":
        whole = named[part]
    else:
        inside = torch.tanh(named["codes"] @ named["first"].T + named["first.bias"])
        whole = inside @ named[f"{part}.second"].T + named[f"{part}.second.bias"]
    heads, width = plan.shape.heads, plan.shape.d_kv
    return torch.stack([whole[:, head * width : (head + 1) * width] for head in range(heads)])


def _gate(site: Site, h: Tensor, state: dict[str, Tensor]) -> Tensor:
    if "gate" not in site.settings:
        return torch.ones(h.shape[:2], dtype=h.dtype)
    return 1 / (1 + torch.exp(-(h @ state[f"{site.name}/gate"] + state[f"{site.name}/gate.bias"])))


def _positions(tiny: Tiny, site: Site, own: Tensor, head: int, query: int, count: int) -> Tensor:
    """The position scores of a query's keys, prefix first, key by key from the table of the stack."""
    positions, length = site.settings["positions"], len(own)
    if positions == "none" or site.role == "cross":
        return torch.cat([own.new_zeros(count), own])
    stack = tiny.model.get_submodule(site.module.partition(".")[0])
    table = stack.block[0].layer[0].SelfAttention
    first = -count if positions == "before" else 0
    scores = []
    for key in range(first, first + count + length):
        bucket = T5Attention._relative_position_bucket(
            torch.tensor(key - query), not table.is_decoder, table.relative_attention_num_buckets, 16
        )
        scores.append(table.relative_attention_bias.weight[bucket, head])
    return torch.stack(scores)


CASES = [
    (family, method, {**options, "positions": positions})
    for family in TINY
    for method, options in ((PREFIX_FLAT, {"tokens": 3, "std": 0.5}), (PREFIX, NETWORK), (GATED, NETWORK))
    for positions in (("none",) if family == "bert" else ("none", "before", "shifted"))
]


@pytest.mark.parametrize(("family", "method", "options"), CASES, ids=lambda value: getattr(value, "name", None))
def test_prefixes_are_as_written_out(family: str, method: Method[Any], options: dict[str, Any]) -> None:
    tiny = TINY[family](torch.float64)
    plan = make_plan(tiny.shape, method, options=options)
    plain = tiny.logits()
    delta = install(tiny.model, plan, seed=0)
    randomise(delta)
    found, state = tiny.logits(), delta.state()
    delta.remove()
    assert torch.equal(tiny.logits(), plain)
    assert (found - plain).abs().max() > 1e-3
    with dense(tiny, plan, state):
        torch.testing.assert_close(tiny.logits(), found, atol=1e-9, rtol=1e-9)


def test_a_gate_over_the_sequence_looks_ahead() -> None:
    """As in the released code; the gate for each token, which is the default, does not (test_sequences.py)."""
    moved = []
    for over in ("token", "sequence"):
        tiny = tiny_t5(torch.float64)
        options = {**NETWORK, "rank": 2, "reduction": 5, "over": over}
        randomise(install(tiny.model, make_plan(tiny.shape, "unipelt", options=options), seed=0), 0.2)
        before = tiny.logits()[:, :-1]
        tiny.batch["labels"][:, -2] = (tiny.batch["labels"][:, -2] + 1) % 57 + 3
        moved.append(float((tiny.logits()[:, :-1] - before).abs().max()))
    assert moved[0] == 0
    assert moved[1] > 1e-3


@pytest.mark.parametrize("method", ["prefix", "prefix-flat", "mam", "unipelt"])
def test_bert_has_no_relative_positions(method: str) -> None:
    with pytest.raises(BadInput, match="option positions: 'shifted' needs relative positions"):
        make_plan(tiny_bert().shape, method, options={"positions": "shifted"})


def test_an_attention_that_another_kernel_computes_is_refused() -> None:
    tiny = tiny_bert()
    tiny.model.config._attn_implementation_internal = "flash_attention_2"
    with pytest.raises(BadInput, match=r"is computed by 'flash_attention_2'; keys can be added with sdpa or eager"):
        install(tiny.model, make_plan(tiny.shape, "prefix-flat"), seed=0)


def test_another_attention_gets_no_keys() -> None:
    """The configuration of a model is its own; only attentions with a prefix have a changed copy of it."""
    tiny = tiny_t5()
    plan = make_plan(tiny.shape, "prefix-flat", options={"tokens": 3})
    one = replace(plan, sites=plan.sites[:1])
    delta = install(tiny.model, one, seed=0)
    changed = [
        path
        for path, module in tiny.model.named_modules()
        if isinstance(module, T5Attention) and module.config._attn_implementation != "sdpa"
    ]
    assert changed == [plan.sites[0].module]
    assert tiny.model.encoder.config._attn_implementation == "sdpa"
    delta.remove()
    assert all("petscale" not in name for module in tiny.model.modules() for name in module.__dict__)
