"""Applying a parametrisation equals the matrix that it makes, and its reach equals that found by probing."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
import torch

from petscale.tuning.block import scatter
from petscale.tuning.masks.mask import Mask
from petscale.tuning.parametrisations.kronecker import nearest_factors
from petscale.tuning.parametrisations.registry import PARAMETRISATIONS
from petscale.tuning.site import Named, Trained

LOW_RANK = PARAMETRISATIONS["low-rank"]
RANK, IN, OUT = 3, 7, 5
WIDE = ((1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 1), (1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 2))  # more ranks than a byte has bits


def _factor(key: str, width: int, quotas: tuple[int, ...]) -> Named:
    mask = Mask("discrete", quotas, seed=4) if quotas else Mask("dense")
    return Named(f"site/{key}", Trained(key, (len(quotas) or RANK, width), mask, "zeros", 0))


def _whole(named: Named, generator: torch.Generator) -> torch.Tensor:
    """Random trained entries, all different from zero."""
    values = torch.rand(named.tensor.count, generator=generator, dtype=torch.float64) + 0.5
    return scatter(values, torch.from_numpy(named.indices()), named.tensor.shape)


@pytest.mark.parametrize("part", ["", "down", "up"])
@pytest.mark.parametrize("scale", [None, 0.25])
def test_applied_equals_made(part: str, scale: float | None) -> None:
    generator = torch.Generator().manual_seed(0)
    factors = {
        "down": torch.randn(RANK, IN, generator=generator, dtype=torch.float64),
        "up": torch.randn(RANK, OUT, generator=generator, dtype=torch.float64),
    }
    expected = {"": factors["up"].T @ factors["down"], "down": factors["down"], "up": factors["up"].T}[part]
    assert torch.equal(LOW_RANK.make(factors.__getitem__, part), expected)
    h = torch.randn(2, 4, expected.shape[1], generator=generator, dtype=torch.float64)
    bias = torch.randn(expected.shape[0], generator=generator, dtype=torch.float64)
    found = LOW_RANK.apply(h, factors.__getitem__, part, scale=scale, bias=bias)
    torch.testing.assert_close(found, (scale or 1.0) * h @ expected.T + bias)


@pytest.mark.parametrize("quotas", [((), ()), ((1, 2, 4), (2, 3, 1)), ((0, 7, 0), (0, 1, 0)), ((), (1, 0, 2)), WIDE])
@pytest.mark.parametrize("part", ["", "down", "up"])
def test_low_rank_reaches_what_its_factors_make(part: str, quotas: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """Positive factors make a matrix that is zero exactly where no rank connects an output and an input."""
    tensors = {"down": _factor("down", IN, quotas[0]), "up": _factor("up", OUT, quotas[1])}
    generator = torch.Generator().manual_seed(1)
    wholes = {key: _whole(named, generator) for key, named in tensors.items()}
    made = LOW_RANK.make(wholes.__getitem__, part).flatten()
    entries = LOW_RANK.reach(tensors, part)
    assert entries.count == int((made != 0).sum())
    assert sorted(entries.positions()) == np.flatnonzero(made.numpy()).tolist()


def test_plain_reaches_its_mask() -> None:
    tensor = Trained("delta", (4, 6), Mask("adjacent", (5,), seed=2), "zeros", 5)
    named = Named("site/delta", tensor)
    entries = PARAMETRISATIONS["plain"].reach({"delta": named}, "delta")
    assert entries.count == 5 < prod(tensor.shape)
    assert entries.positions().tolist() == named.indices().tolist()


N, A, B, K = 3, (2, 5), (4, 3), 2  # products, sizes of both factors, rank of the second


def _products(name: str, part: str) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Random factors, and their sum of products by torch.kron."""
    generator = torch.Generator().manual_seed(2)
    shapes = {"left": (N, *A), "right": (N, *B)}
    if name == "kronecker-low-rank":
        shapes = {"left": (N, *A), "right.up": (N, B[0], K), "right.down": (N, K, B[1])}
    made = {key: torch.randn(shape, generator=generator, dtype=torch.float64) for key, shape in shapes.items()}
    right = made["right"] if "right" in made else made["right.up"] @ made["right.down"]
    whole = torch.stack([torch.kron(left, other) for left, other in zip(made["left"], right, strict=True)]).sum(0)
    return {f"{part}.{key}" if part else key: value for key, value in made.items()}, whole


@pytest.mark.parametrize("name", ["kronecker", "kronecker-low-rank"])
@pytest.mark.parametrize("part", ["", "down"])
@pytest.mark.parametrize("scale", [None, 0.25])
@pytest.mark.parametrize("biased", [False, True])
def test_kronecker_is_the_sum_of_products(name: str, part: str, scale: float | None, biased: bool) -> None:
    factors, whole = _products(name, part)
    torch.testing.assert_close(PARAMETRISATIONS[name].make(factors.__getitem__, part), whole)
    h = torch.randn(2, 6, whole.shape[1], dtype=torch.float64)
    bias = torch.randn(whole.shape[0], dtype=torch.float64) if biased else None
    found = PARAMETRISATIONS[name].apply(h, factors.__getitem__, part, scale=scale, bias=bias)
    torch.testing.assert_close(found, (scale or 1.0) * h @ whole.T + (0.0 if bias is None else bias))
    tensors = {
        key: Named(f"site/{key}", Trained(key, tuple(value.shape), Mask("dense"), "zeros", 0))
        for key, value in factors.items()
    }
    assert PARAMETRISATIONS[name].reach(tensors, part).count == whole.numel()


def test_the_nearest_factors_of_a_number() -> None:
    """As `factorization` of PEFT and LyCORIS."""
    assert [nearest_factors(size) for size in (1024, 4096, 12, 7, 1)] == [(32, 32), (64, 64), (3, 4), (1, 7), (1, 1)]
