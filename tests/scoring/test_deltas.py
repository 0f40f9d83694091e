"""Models with an installed delta get the same scores and texts as with Hugging Face's `generate`."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from petscale.data.batches import scoring_batches
from petscale.families.registry import FAMILIES, shape_from_config
from petscale.scoring.generate import greedy, score_labels
from petscale.tuning.install import install
from petscale.tuning.registry import make_plan

from .conftest import make_examples

METHODS = {"prompt": None, "lora": None, "bitfit": None, "adapter": None, "apet-adjacent": 300, "apet-discrete": 300}


@pytest.mark.parametrize("method", METHODS)
def test_a_delta_acts_in_every_step(t5: Any, method: str) -> None:
    batch = FAMILIES["t5"].collate(examples := make_examples(), scoring_batches(examples.lengths, 200)[1])
    del batch["labels"]
    with torch.no_grad():
        _, plain = greedy(t5, **batch, end=1, length=10)
    shape = shape_from_config({**t5.config.to_dict()}, t5.state_dict().keys())
    delta = install(t5, make_plan(shape, method, budget=METHODS[method]), seed=0)
    torch.manual_seed(1)
    delta.load_state({name: torch.randn_like(value) for name, value in delta.state().items()})
    t5.eval()
    with torch.no_grad():
        _, written = greedy(t5, **batch, end=1, length=10)
        found = t5.generate(**batch, max_new_tokens=10, do_sample=False, num_beams=1)[:, 1:].tolist()
        assert written == [row[: row.index(1) + 1] if 1 in row else row for row in found]
        assert written != plain
        labels = ((5, 1), (6, 7, 1))
        scores, _ = score_labels(t5, **batch, labels=labels, end=1)
        for index, label in enumerate(labels):
            targets = torch.tensor([label] * len(scores))
            logits = t5(**batch, labels=targets).logits.log_softmax(-1)
            wanted = logits.gather(-1, targets[..., None]).sum((1, 2))
            torch.testing.assert_close(scores[:, index], wanted, rtol=1e-4, atol=1e-4)
