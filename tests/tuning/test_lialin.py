"""The counts of Lialin et al.'s methods equal closed formulas on T5 v1.0, v1.1 and BERT, and the paper's Table 5."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from petscale.backbones.catalogue import lookup
from petscale.families.shape import BackboneShape
from petscale.tuning.registry import METHODS, make_plan

BACKBONES = ("t5-large", "t5-3b", "t5-11b", "google/t5-v1_1-xl", "bert-large-uncased")


class Size:
    """Numbers of parts of a backbone, from its shape alone."""

    def __init__(self, shape: BackboneShape) -> None:
        self.d, self.i, self.ff = shape.d_model, shape.inner, shape.d_ff
        self.layers = shape.layers
        t5 = shape.family == "t5"
        self.attentions = 3 * shape.layers if t5 else shape.layers
        self.kinds = 3 if t5 else 1  # of attentions: encoder, decoder, cross
        self.ffns = 2 * shape.layers if t5 else shape.layers
        self.norms = (5 * shape.layers + 2 if t5 else 2 * (2 * shape.layers + 1)) * shape.d_model
        self.ffn_matrices = 3 if shape.gated else 2


def _bottleneck(s: Size, width: int) -> int:
    return 2 * s.d * width + width + s.d


def _compacter(s: Size, adapters: int, n: int = 4) -> int:
    """Two factors of rank 1 for each matrix, whole biases, and one set of rules for all."""
    width = s.d // 32
    return adapters * (2 * (s.d + width) + width + s.d) + n**3


def _phm(s: Size, n: int = 4) -> int:
    width = s.d // 32
    return 2 * s.ffns * (2 * s.d * width // n + width + s.d + 2 * n**3)


def _prefix(s: Size, tokens: int = 30, middle: int = 512) -> int:
    """One network for each kind of attention, which makes the keys and values of all of its layers."""
    out = s.layers * 2 * s.i
    return s.kinds * (tokens * s.d + s.d * middle + middle + middle * out + out)


def _factors(size: int) -> tuple[int, int]:
    small = max(number for number in range(1, size + 1) if size % number == 0 and number * number <= size)
    return small, size // small


def _products(s: Size, rank: int | None) -> int:
    (a1, b1), (a2, b2) = _factors(s.i), _factors(s.d)
    right = b1 * b2 if rank is None or rank >= max(b1, b2) / 2 else rank * (b1 + b2)
    return s.attentions * 2 * (a1 * a2 + right)


def _parallel(s: Size) -> int:
    return s.ffns * (_bottleneck(s, s.d // 2) + 1)


def _unipelt(s: Size) -> int:
    lora = s.attentions * 2 * 8 * (s.d + s.i)
    gates = (s.d + 1) * (2 * s.attentions + s.attentions + s.ffns)
    return _prefix(s, 10) + lora + s.ffns * _bottleneck(s, s.d // 16) + gates


def _lora_all(s: Size) -> int:
    return s.attentions * 4 * 8 * (s.d + s.i) + s.ffns * s.ffn_matrices * 8 * (s.d + s.ff)


FORMULAS: dict[str, Callable[[Size], int]] = {
    "ln-tuning": lambda s: s.norms,
    "lora-qv": lambda s: s.attentions * 2 * 8 * (s.d + s.i),
    "lora-all": _lora_all,
    "ia3": lambda s: s.attentions * 2 * s.i + s.ffns * s.ff,
    "krona": lambda s: _products(s, None),
    "lokr": lambda s: _products(s, 8),
    "houlsby": lambda s: 2 * s.ffns * _bottleneck(s, s.d // 16),
    "pfeiffer": lambda s: s.ffns * _bottleneck(s, s.d // 16),
    "parallel-adapter": _parallel,
    "compacter": lambda s: _compacter(s, 2 * s.ffns),
    "compacter-plus": lambda s: _compacter(s, s.ffns),
    "phm": _phm,
    "prefix-flat": lambda s: s.attentions * 2 * 30 * s.i,
    "prefix": _prefix,
    "mam": lambda s: _prefix(s, 30, 800) + _parallel(s),
    "unipelt": _unipelt,
}

# Lialin et al. 2024, Table 5, in millions for T5-large, T5-3B and T5-11B. None: the paper has another number there, and
# `ODD` says what it counted, where that is known.
TABLE_5: dict[str, tuple[float | None, float | None, float | None]] = {
    "ln-tuning": (0.12, 0.12, 0.12),
    "lora-qv": (2.36, None, 20.05),
    "lora-all": (8.65, 25.17, 91.23),
    "ia3": (0.34, 1.38, None),  # 3.48 for T5-11B: no subset of its vectors gives it
    "lokr": (0.22, 0.41, 0.77),  # there called KronA
    "houlsby": (12.69, 12.69, 12.69),
    "pfeiffer": (6.34, 6.34, 6.34),
    "parallel-adapter": (50.41, 50.41, 50.41),
    "compacter": (0.30, 0.30, 0.30),
    "compacter-plus": (0.15, 0.15, 0.15),
    "prefix-flat": (4.42, 17.69, 70.78),  # there called prompt tuning
    "prefix": (77.31, None, 1211.99),  # 77.25 for T5-3B: 10 tokens, and the width of the hidden states for `inner`
    "mam": (171.07, None, None),  # 171.07 for T5-3B: T5-large's number
    "unipelt": (86.22, 316.70, None),  # 1224.78 for T5-11B: another method, with Houlsby's adapters and without LoRA
}

ODD: list[tuple[str, str, dict[str, Any], float]] = [
    ("t5-3b", "lora-qv", {"targets": ["self.q", "self.v"]}, 3.93),  # self-attention only
    ("t5-11b", "mam", {"middle": 512}, 1262.39),
]


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", FORMULAS)
def test_counts_by_formula(method: str, backbone: str) -> None:
    shape = lookup(backbone).shape
    assert make_plan(shape, method).trainable == FORMULAS[method](Size(shape))


@pytest.mark.parametrize("method", TABLE_5)
def test_counts_are_those_of_table_5(method: str) -> None:
    for backbone, published in zip(BACKBONES, TABLE_5[method], strict=False):
        if published is not None:
            found = make_plan(lookup(backbone).shape, method).trainable
            assert found / 1e6 == pytest.approx(published, abs=0.0051)


@pytest.mark.parametrize(("backbone", "method", "options", "published"), ODD)
def test_odd_rows_of_table_5_are_other_settings(
    backbone: str, method: str, options: dict[str, Any], published: float
) -> None:
    found = make_plan(lookup(backbone).shape, method, options=options).trainable
    assert found / 1e6 == pytest.approx(published, abs=0.0051)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", ["compacter", "compacter-plus", "phm", "houlsby", "pfeiffer", "lora-qv", "lora-all"])
def test_norms_can_be_trained_too(method: str, backbone: str) -> None:
    """As the repositories of Compacter and T-Few do; the count is the method's and that of LN tuning."""
    shape = lookup(backbone).shape
    size = Size(shape)
    plan = make_plan(shape, method, options={"norms": True})
    assert plan.trainable == FORMULAS[method](size) + size.norms
    assert {site.operation for site in plan.sites} <= set(METHODS[method].operations)
    assert make_plan(shape, method, options={"norms": False}) == make_plan(shape, method)


@pytest.mark.parametrize(("method", "percent"), [("compacter", 0.073), ("compacter-plus", 0.047)])
def test_with_norms_the_shares_are_those_of_the_compacter_paper(method: str, percent: float) -> None:
    """Karimi Mahabadi et al. 2021, table 1, on T5-base v1.0, which trains the normalisations."""
    shape = replace(lookup("google/t5-v1_1-base").shape, d_ff=3072, gated=False, tied=True)
    plan = make_plan(shape, method, options={"norms": True})
    assert 100 * plan.trainable / make_plan(shape, "full").trainable == pytest.approx(percent, abs=0.0006)


NOTHING = (0.0, 0.0, 0.0)

# Scalars that inference needs beside T5-large, T5-3B and T5-11B, the share of their weights that may change, and the
# highest rank of the change of one matrix. Their d is 1,024, which is a full rank.
AFTER_TRAINING: dict[str, tuple[tuple[int, int, int], tuple[float, float, float], int | None]] = {
    "full": ((0, 0, 0), (100.0, 100.0, 100.0), 1024),
    "ln-tuning": ((0, 0, 0), NOTHING, None),
    "lora-qv": ((0, 0, 0), (20.5, 21.2, 21.4), 8),
    "lora-all": ((0, 0, 0), (95.5, 98.8, 99.7), 8),
    "ia3": ((0, 0, 0), (47.8, 49.4, 49.9), 1024),
    "krona": ((0, 0, 0), (20.5, 21.2, 21.4), 1024),
    "lokr": ((0, 0, 0), (20.5, 21.2, 21.4), 32 * 8),
    "houlsby": ((12_687_360,) * 3, NOTHING, None),
    "pfeiffer": ((6_343_680,) * 3, NOTHING, None),
    "parallel-adapter": ((50_405_424,) * 3, NOTHING, None),
    "compacter": ((304_192,) * 3, NOTHING, None),
    "compacter-plus": ((152_128,) * 3, NOTHING, None),
    "phm": ((1_686_528,) * 3, NOTHING, None),
    "prefix-flat": ((4_423_680, 17_694_720, 70_778_880), NOTHING, None),
    "prefix": ((4_423_680, 17_694_720, 70_778_880), NOTHING, None),
    "mam": ((54_829_104, 68_100_144, 121_184_304), NOTHING, None),
    "unipelt": ((10_448_136, 18_410_760, 50_261_256), NOTHING, None),
}


@pytest.mark.parametrize("method", AFTER_TRAINING)
def test_what_is_deployed_and_touched_and_its_rank(method: str) -> None:
    """Lialin et al., guideline 1; each number by a closed formula of the method on T5 v1.0."""
    deployed_each, percents, rank = AFTER_TRAINING[method]
    for backbone, deployed, percent in zip(BACKBONES, deployed_each, percents, strict=False):
        shape = lookup(backbone).shape
        counts = make_plan(shape, method).counts
        full = make_plan(shape, "full").trainable
        assert counts.deployed == deployed
        assert 100 * counts.touched / full == pytest.approx(percent, abs=0.051)
        assert counts.rank == rank
