"""A batch's targets and tokens are counted from the tensors themselves, and its tensors reach the device."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from petscale.data.batches import IGNORED
from petscale.training.batch import _sent, step_batch

MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]])
CPU = torch.device("cpu")


def family(step_mask: Any = lambda mask: mask) -> Any:
    return SimpleNamespace(step_mask=step_mask)


def test_classes_are_one_target_each() -> None:
    batch = step_batch({"labels": torch.tensor([1, 0, 2]), "attention_mask": MASK}, family(), CPU)
    assert batch.targets == [1, 1, 1]
    assert batch.tokens == 3 + 4 + 1


def test_texts_have_as_many_targets_as_tokens_that_are_not_ignored() -> None:
    """One of the ignored ones stands inside a text: each is left out on its own account."""
    labels = torch.tensor([[7, 8, IGNORED], [7, IGNORED, 9], [5, IGNORED, IGNORED]])
    batch = step_batch({"labels": labels, "attention_mask": MASK}, family(), CPU)
    assert batch.targets == [2, 2, 1]
    assert batch.tokens == 3 + 4 + 1 + 2 + 2 + 1


def test_tensors_are_the_collated_ones_with_the_family_s_mask() -> None:
    """The family gets the mask as booleans; where it gives none, the model gets none."""
    labels = torch.tensor([1, 0, 2])
    collated = {"labels": labels, "input_ids": torch.arange(12).reshape(3, 4), "attention_mask": MASK}
    given: list[Tensor] = []

    def inverted(mask: Tensor) -> Tensor:
        given.append(mask)
        return ~mask

    batch = step_batch(collated, family(inverted), CPU)
    assert given[0].dtype == torch.bool
    assert set(batch.tensors) == set(collated)
    assert torch.equal(batch.tensors["input_ids"], collated["input_ids"])
    assert torch.equal(batch.tensors["attention_mask"], MASK == 0)
    assert set(step_batch(collated, family(lambda _mask: None), CPU).tensors) == {"labels", "input_ids"}


class Noted:
    """Stands in for a tensor of the host, and notes how it is sent."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def pin_memory(self) -> Noted:
        self.calls.append("pinned")
        return self

    def to(self, device: Any, **how: Any) -> Noted:
        self.calls.append((device.type, how))
        return self


@pytest.mark.parametrize(
    ("device", "calls"), [("cuda", ["pinned", ("cuda", {"non_blocking": True})]), ("cpu", [("cpu", {})])]
)
def test_a_gpu_gets_pinned_memory_without_waiting(device: str, calls: list[Any]) -> None:
    """Copied without pinning, or with waiting, it would hold up every step; test_waits.py sees it on a real GPU."""
    noted: Any = Noted()
    _sent(noted, SimpleNamespace(type=device))  # type: ignore[arg-type]
    assert noted.calls == calls
