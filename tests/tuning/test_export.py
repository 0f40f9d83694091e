"""`petscale export`: PEFT loads its methods with equal logits; other methods give plain safetensors with a README."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from petscale.cells import record
from petscale.cli import export
from petscale.errors import BadInput
from petscale.tuning.files import load_delta, save_delta
from petscale.tuning.install import install

from .tiny import TINY, Tiny, randomise, small_plan

peft = pytest.importorskip("peft")

WITHOUT_PEFT = (
    "adapter",
    "houlsby",
    "pfeiffer",
    "parallel-adapter",
    "compacter",
    "compacter-plus",
    "phm",
    "prefix-flat",
    "prefix",
    "mam",
    "unipelt",
)


def exported(
    tiny: Tiny, plan: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, head: dict[str, torch.Tensor] | None = None
) -> tuple[Path, torch.Tensor]:
    """A folder made by the command from a cell with a random delta, and the logits before the delta was removed."""
    delta = install(tiny.model, plan, seed=0)
    randomise(delta)
    save_delta(folder / "cell" / "delta.safetensors", delta, extra_tensors=head)
    logits = tiny.logits()
    delta.remove()
    score = record.Score(value=0.5, se=0.1, n=4)
    cell = SimpleNamespace(cell="tiny/task/x", spec={"backbone": "tiny"}, test={"accuracy": score})
    monkeypatch.setattr(record, "read_result", lambda _path: cell)
    target = folder / "out"
    assert export.run(argparse.Namespace(cell=folder / "cell", dir=target)) == 0
    assert "tiny/task/x" in (target / "README.md").read_text()
    return target, logits


@pytest.mark.parametrize("family", ["t5", "bert"])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("lora", None),
        ("lora-all", {"rank": 3}),
        ("ia3", None),
        ("ln-tuning", None),
        ("ln-tuning", {"biases": False}),  # BERT's biases stay in the backbone
        ("ia3", {"learns": "factor"}),
        ("krona", None),
        ("lokr", {"rank": 1, "alpha": 3}),
        ("lokr", {"rank": 2, "targets": ["self.*", "ffn.*"]}),  # low in some layers, whole in others
        ("apet-discrete", {"operations": ["concat"], "rank": 3}),
        ("apet-discrete", {"operations": ["add"]}),
        ("apet-adjacent", {"operations": ["add"]}),
    ],
)
def test_peft_loads_it_with_equal_logits(
    family: str, method: str, options: dict[str, Any] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = TINY[family]()
    plan = small_plan(tiny.shape, method, options=options)
    classifier = getattr(tiny.model, "classifier", None)
    head = {f"head/{name}": value for name, value in classifier.named_parameters()} if classifier else None
    target, logits = exported(tiny, plan, tmp_path, monkeypatch, head)
    if classifier is not None:  # the head must come from the file
        classifier.weight.zero_()
    tiny.model = peft.PeftModel.from_pretrained(tiny.model, target).eval()
    torch.testing.assert_close(tiny.logits(), logits, atol=1e-5, rtol=1e-5)


def test_peft_loads_a_t5_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = TINY["t5"]()
    target, logits = exported(tiny, small_plan(tiny.shape, "prompt"), tmp_path, monkeypatch)
    tiny.model = peft.PeftModel.from_pretrained(tiny.model, target).eval()
    torch.testing.assert_close(tiny.logits(), logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("family", "method"),
    [
        *((family, method) for family in ("t5", "bert") for method in WITHOUT_PEFT),
        ("t5", "bitfit"),
        ("bert", "prompt"),
        ("bert", "full"),
    ],
)
def test_the_rest_is_plain_safetensors(
    family: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = TINY[family]()
    plan = small_plan(tiny.shape, method)
    target, logits = exported(tiny, plan, tmp_path, monkeypatch)
    assert not (target / "adapter_config.json").exists()
    found, values = load_delta(target / "delta.safetensors")
    install(tiny.model, found, seed=5).load_state(values)
    assert torch.equal(tiny.logits(), logits)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = TINY["bert"]()
    target, _ = exported(tiny, small_plan(tiny.shape, "lora"), tmp_path, monkeypatch)
    with pytest.raises(BadInput, match="not an empty folder"):
        export.run(argparse.Namespace(cell=tmp_path / "cell", dir=target))
