"""The counts of plan, optimizer and file equal the published ones."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, T5Config, T5ForConditionalGeneration

from petscale.backbones.catalogue import lookup
from petscale.families.registry import total_parameters
from petscale.families.shape import BackboneShape
from petscale.tuning.files import save_delta
from petscale.tuning.install import install
from petscale.tuning.masks.mask import Mask
from petscale.tuning.parametrisations.low_rank import LowRank
from petscale.tuning.registry import make_plan
from petscale.tuning.site import Named, Trained

from .tiny import TINY, randomise, small_plan

# reference/su2023_trainable_parameters.csv, T5 and BERT. T5-XXL BitFit and BERT-small's prompt came from other code.
PUBLISHED = [
    ("google/t5-v1_1-small", "lora", 229_376),
    ("google/t5-v1_1-base", "lora", 589_824),
    ("google/t5-v1_1-xxl", "lora", 6_291_456),
    ("google/t5-v1_1-small", "adapter", 803_584),
    ("google/t5-v1_1-base", "adapter", 1_807_488),
    ("google/t5-v1_1-xxl", "adapter", 19_269_888),
    ("google/t5-v1_1-small", "prompt", 51_200),
    ("google/t5-v1_1-base", "prompt", 76_800),
    ("google/t5-v1_1-xxl", "prompt", 409_600),
    ("google/t5-v1_1-small", "bitfit", 121_216),
    ("google/t5-v1_1-base", "bitfit", 270_208),
    ("google/t5-v1_1-xxl", "bitfit-t5-xxl", 2_444_644),
    ("google/bert_uncased_L-4_H-512_A-8", "lora", 65_536),
    ("google/bert_uncased_L-12_H-768_A-12", "lora", 294_912),
    ("bert-large-uncased", "lora", 786_432),
    ("google/bert_uncased_L-4_H-512_A-8", "adapter", 200_896),
    ("google/bert_uncased_L-12_H-768_A-12", "adapter", 903_744),
    ("bert-large-uncased", "adapter", 2_409_600),
    ("google/bert_uncased_L-4_H-512_A-8", "bitfit", 14_336),
    ("google/bert_uncased_L-12_H-768_A-12", "bitfit", 64_512),
    ("bert-large-uncased", "bitfit", 172_032),
    ("google/bert_uncased_L-4_H-512_A-8", "prompt-50", 25_600),
    ("google/bert_uncased_L-12_H-768_A-12", "prompt", 76_800),
    ("bert-large-uncased", "prompt", 102_400),
]


def hollow(shape: BackboneShape) -> Any:
    """A model of the real shapes in which every tensor is one zero, expanded: XXL takes no memory."""
    with torch.device("meta"):
        model = _t5(shape) if shape.family == "t5" else _bert(shape)
    shared: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                small = parameter.numel() < 100_000
                value = torch.zeros(parameter.shape) if small else torch.zeros(()).expand(parameter.shape)
                module._parameters[name] = shared.setdefault(id(parameter), nn.Parameter(value))
    if shape.family == "t5":
        model.lm_head.weight = nn.Parameter(torch.zeros(()).expand(shape.vocab, shape.d_model))
    return model


def _t5(shape: BackboneShape) -> nn.Module:
    return T5ForConditionalGeneration(
        T5Config(
            d_model=shape.d_model,
            d_ff=shape.d_ff,
            d_kv=shape.d_kv,
            num_heads=shape.heads,
            num_layers=shape.layers,
            feed_forward_proj="gated-gelu",
        )
    )


def _bert(shape: BackboneShape) -> nn.Module:
    return BertForSequenceClassification(
        BertConfig(
            hidden_size=shape.d_model,
            intermediate_size=shape.d_ff,
            num_attention_heads=shape.heads,
            num_hidden_layers=shape.layers,
        )
    )


@pytest.mark.parametrize(("backbone", "method", "published"), PUBLISHED)
def test_published_counts(backbone: str, method: str, published: int) -> None:
    assert make_plan(lookup(backbone).shape, method).trainable == published


def test_the_table_is_the_papers(shared: Path) -> None:
    """Compares the list above with the table of the reference data, if that table is available."""
    table = shared / "reference" / "su2023_trainable_parameters.csv"
    rows = [row for row in csv.DictReader(table.open()) if not row["backbone"].startswith("bloom")]
    assert [(row["hub_name"], int(row["trainable_parameters"])) for row in rows] == [
        (backbone, count) for backbone, _, count in PUBLISHED
    ]


@pytest.mark.parametrize("backbone", sorted({backbone for backbone, _, _ in PUBLISHED}))
def test_optimizer_and_file_hold_the_published_count(backbone: str, tmp_path: Path) -> None:
    shape = lookup(backbone).shape
    for name, method, published in PUBLISHED:
        if name != backbone:
            continue
        model = hollow(shape)
        delta = install(model, make_plan(shape, method), seed=0)
        optimizer = torch.optim.AdamW(delta.parameters())
        held = sum(parameter.numel() for group in optimizer.param_groups for parameter in group["params"])
        save_delta(tmp_path / "delta.safetensors", delta)
        with safe_open(tmp_path / "delta.safetensors", framework="pt") as handle:
            stored = sum(handle.get_tensor(key).numel() for key in handle.keys())  # noqa: SIM118
        assert held == stored == published


@pytest.mark.parametrize(
    ("backbone", "method", "effective"),
    [
        ("t5-v1_1-small", "bitfit", 121_216 - 6_144),  # key biases
        ("t5-v1_1-xxl", "bitfit-t5-xxl", 2_444_644 - 72 * 4096 - 23 * 2048 - 64),  # and tables that nothing reads
        ("bert-small", "bitfit", 14_336 - 4 * 512),
        ("t5-v1_1-small", "lora", 229_376),
    ],
)
def test_effective_counts(backbone: str, method: str, effective: int) -> None:
    assert make_plan(lookup(backbone).shape, method).effective == effective


def test_one_target_token_leaves_the_decoders_self_attention_nothing_to_choose() -> None:
    plan = make_plan(lookup("t5-v1_1-small").shape, "lora", target_length=1)
    assert plan.trainable - plan.effective == 8 * 8 * (512 + 384)


D, INNER, FF, HEADS, LAYERS = 1024, 1024, 4096, 16, 24  # of T5-large (v1.0: two feed-forward matrices, tied)
QV = {"rank": 8, "alpha": 8, "targets": ["*.q", "*.v"]}
ALL_LINEAR = {"rank": 8, "alpha": 8, "targets": ["self.*", "cross.*", "ffn.*"]}


@pytest.mark.parametrize(
    ("method", "options", "deployed", "touched"),
    [
        ("frozen", None, 0, 0),
        ("full", None, 0, 737_668_096),  # is its own change
        ("lora", QV, 0, 144 * D * INNER),  # folds: nothing is kept, and whole matrices change
        ("lora", ALL_LINEAR, 0, 72 * 4 * D * INNER + 48 * 2 * D * FF),
        ("adapter", {"bottleneck": 64}, 4 * LAYERS * (2 * D * 64 + 64 + D), 0),  # an activation lies between
        ("prompt", {"tokens": 20}, 20 * D, 0),
        # T5 has no bias that an inserted one could be folded into.
        ("bitfit", None, 2 * LAYERS * (4 * INNER + D + FF) + (5 * LAYERS + 2) * D + 32_128, 0),
    ],
)
def test_deployed_and_touched_by_formula(
    method: str, options: dict[str, Any] | None, deployed: int, touched: int
) -> None:
    """Lialin et al. 2024, guideline 1: what is trained is neither what must be kept nor what changes."""
    counts = make_plan(lookup("t5-large").shape, method, options=options).counts
    assert (counts.deployed, counts.touched) == (deployed, touched)


def test_touched_are_the_published_shares() -> None:
    """Facts 0.3: LoRA on q and v changes 20.5 % of T5-large and 21.4 % of T5-11B; on all linear layers 95.5 %."""
    for name, options, percent in (("t5-large", QV, 20.5), ("t5-11b", QV, 21.4), ("t5-large", ALL_LINEAR, 95.5)):
        shape = lookup(name).shape
        touched = make_plan(shape, "lora", options=options).counts.touched
        assert 100 * touched / total_parameters(shape) == pytest.approx(percent, abs=0.05)


def test_biases_that_exist_fold_and_tables_that_nothing_reads_are_not_kept() -> None:
    bert = make_plan(lookup("bert-small").shape, "bitfit").counts
    assert (bert.trainable, bert.deployed, bert.touched) == (14_336, 0, 14_336)
    shape = lookup("t5-v1_1-xxl").shape
    table = shape.relative_buckets * shape.heads
    xxl = make_plan(shape, "bitfit-t5-xxl").counts
    assert xxl.touched == 2 * table  # the tables that T5 has; 24 more are inserted, of which 23 do nothing
    assert xxl.deployed == xxl.trainable - (2 + 23) * table


@pytest.mark.parametrize("family", list(TINY))
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("full", None),
        ("lora", None),
        ("lora-all", None),
        ("ln-tuning", None),
        ("krona", None),
        ("lokr", {"rank": 1}),
        ("ia3", None),  # on BERT also the biases of k and v
        ("apet-adjacent", {"operations": ["add"], "roles": ["*"]}),
        ("apet-discrete", {"operations": ["concat"], "rank": 5}),
        ("apet-discrete", {"operations": ["add", "concat"], "rank": 2}),
    ],
)
def test_touched_and_rank_are_what_merging_changes(family: str, method: str, options: dict[str, Any] | None) -> None:
    """By merging a random delta in float64 and looking; sites that reach one weight count its entries once.

    The rank is an upper bound where entries are scattered, and exact where nothing is masked.
    """
    tiny = TINY[family](torch.float64)
    plan = small_plan(tiny.shape, method, options=options)
    for parameter in tiny.model.parameters():
        parameter += 0.1 * torch.randn_like(parameter)  # BERT's biases are zero, and scaling would not change them
    before = {name: value.detach().clone() for name, value in tiny.model.named_parameters()}
    delta = install(tiny.model, plan, seed=0)
    randomise(delta)
    delta.merge()
    changes = [value - before[name] for name, value in tiny.model.named_parameters()]
    assert sum(int((change != 0).sum()) for change in changes) == plan.counts.touched
    ranks = [int(torch.linalg.matrix_rank(change)) for change in changes if change.ndim == 2]
    bound = plan.counts.rank or 0
    assert max(ranks) <= bound if method.startswith("apet") else max(ranks) == bound
    assert plan.counts.deployed == 0


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (7, 7)])
@pytest.mark.parametrize("quota", [1, 2, 7, 30, 41, 48, 49])
def test_the_rank_of_a_run_is_that_of_random_values_on_it(shape: tuple[int, int], quota: int) -> None:
    """A run reaches few rows or columns, so its rank is far below that of as many scattered entries."""
    for seed in range(8):
        mask, key = Mask("adjacent", (quota,), seed), "add:layer/delta"
        matrix = np.zeros(shape)
        matrix.flat[mask.indices(shape, key)] = np.random.default_rng(seed).normal(size=quota)
        assert mask.rank(shape, key) == np.linalg.matrix_rank(matrix)


def test_the_rank_of_branches_beside_one_matrix_adds_up() -> None:
    """Two sites on a weight can give it the sum of their ranks, up to that of the weight."""
    shape = lookup("bert-small").shape
    plan = make_plan(shape, "lora", options={"rank": 3, "targets": ["self.q"]})
    twice = replace(plan, sites=(*plan.sites, *(replace(site, name=f"{site.name}-2") for site in plan.sites)))
    assert (plan.rank, twice.rank) == (3, 6)
    assert make_plan(shape, "lora", options={"rank": 2048, "targets": ["self.q"]}).rank == 512


def test_masked_ranks_without_entries_do_not_count() -> None:
    factor = Mask("discrete", (2, 0, 1))
    other = Mask("discrete", (1, 3, 0))
    tensors = {
        "down": Named("down", Trained("down", (3, 8), factor, "zeros", 3)),
        "up": Named("up", Trained("up", (3, 8), other, "zeros", 4)),
    }
    assert LowRank().rank(tensors) == 1


def test_frozen_and_full_are_the_two_ends() -> None:
    shape = lookup("bert-small").shape
    assert make_plan(shape, "frozen").trainable == 0
    assert make_plan(shape, "full").trainable == total_parameters(shape) == 28_763_648
