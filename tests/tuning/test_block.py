"""Positions of a trained tensor's entries, the tensor that they stand for, and how many of them moved."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from petscale.tuning.block import Block, entry_indices, nearest_parameter, scatter
from petscale.tuning.masks.mask import Mask
from petscale.tuning.site import Named, Trained


def named(shape: tuple[int, ...], mask: Mask) -> Named:
    return Named("site/delta", Trained("delta", shape, mask, "zeros", 0))


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((7,), torch.int32),
        ((46_341, 46_340), torch.int32),  # the largest factors of this kind below 2^31
        ((3, 2**30), torch.int64),
        ((2**20, 2**12), torch.int64),
    ],
)
def test_positions_fit_their_integers(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Half the room where 32 bits hold every position, and the same numbers where they do not."""
    tensor = named(shape, Mask("discrete", (7,), 3))
    found = entry_indices(tensor, torch.device("cpu"))
    assert found is not None
    assert found.dtype == dtype
    assert found.tolist() == tensor.indices().tolist()
    assert (max(found.tolist()) < 2**31) == (dtype == torch.int32)


def test_a_dense_mask_has_no_positions() -> None:
    assert entry_indices(named((2, 3), Mask("dense")), torch.device("cpu")) is None


def test_values_stand_at_their_positions_and_get_their_gradients() -> None:
    values = torch.tensor([2.0, 3.0, 5.0], requires_grad=True)
    whole = scatter(values, torch.tensor([4, 0, 3], dtype=torch.int32), (2, 3))
    assert whole.tolist() == [[3, 0, 0], [5, 2, 0]]
    (whole * torch.arange(6.0).reshape(2, 3)).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [4, 0, 3]
    assert scatter(torch.arange(6.0), None, (3, 2)).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_changed_counts_what_left_its_start() -> None:
    spec = Trained("delta", (4,), Mask("dense"), "zeros", 4)
    parameter = nn.Parameter(torch.tensor([0.0, 1.0, 2.0, 0.5]))
    assert Block("key", spec, parameter, None, None).changed() == 3
    assert Block("key", spec, parameter, None, torch.tensor([0.0, 1.0, 0.0, 0.5])).changed() == 1


def test_the_nearest_parameter_is_looked_for_outwards() -> None:
    """An activation has none: those of the block around it count, then those of the whole model."""
    block = nn.ModuleDict({"act": nn.ModuleDict({"gelu": nn.GELU()}), "linear": nn.Linear(2, 3)})
    model = nn.ModuleDict({"embedding": nn.Embedding(5, 2), "block": block, "dropout": nn.Dropout()})
    assert nearest_parameter(model, "block.linear") is block["linear"].weight
    assert nearest_parameter(model, "block.act.gelu") is block["linear"].weight
    assert nearest_parameter(model, "dropout") is model["embedding"].weight
