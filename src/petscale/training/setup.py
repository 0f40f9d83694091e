"""Everything a cell needs in memory before its first step: tokens, backbone, delta, head."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from petscale import tasks as task_registry
from petscale.backbones.folder import read_manifest, verify
from petscale.backbones.load import load_model
from petscale.backbones.shape import BackboneShape
from petscale.data.decode import Decode, load_decoder
from petscale.data.tokens import Family, TokenSet, load_tokens
from petscale.scoring.evaluate import Evaluation, evaluate
from petscale.study.cell import Cell, digest
from petscale.study.counting import head_units, plan_of
from petscale.study.stages import STAGES
from petscale.tasks import Task
from petscale.tuning.install import Delta, install
from petscale.tuning.plan import Plan
from petscale.tuning.registry import METHODS

HEAD = "head/"


@dataclass(frozen=True)
class Inputs:
    """Folders that hold a cell's inputs, each with its manifest."""

    tokens: Path
    backbone: Path


@dataclass
class Ready:
    """A cell in memory."""

    cell: Cell
    task: Task
    tokens: TokenSet
    decode: Decode | None
    shape: BackboneShape
    family: Family
    model: Any
    plan: Plan
    delta: Delta
    head: dict[str, torch.nn.Parameter]
    device: torch.device
    hashes: dict[str, str]

    @property
    def identity(self) -> str:
        """Digest of the cell, of its inputs and of the code versions: a checkpoint of another one is not resumed."""
        versions = f"{STAGES['train'].version}.{METHODS[self.cell.method].version}"
        return f"{self.cell.digest}:{versions}:{self.hashes['tokens']}:{self.hashes['backbone']}"

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """What the optimizer holds: the delta, and the head where it is trained."""
        head = list(self.head.values()) if self.cell.head == "trained" else []
        return [*self.delta.parameters(), *head]

    @property
    def batches_an_epoch(self) -> int:
        return -(-len(self.tokens.split("train")) // self.cell.batch_size)

    @property
    def autocast(self) -> Callable[[], contextlib.AbstractContextManager[Any]]:
        """Mixed precision for a bfloat16 backbone, so that float32 masters meet its activations."""
        if self.cell.precision == "float32":
            return contextlib.nullcontext
        return lambda: torch.autocast(self.device.type, dtype=torch.bfloat16)

    def trained(self) -> dict[str, torch.Tensor]:
        """Delta and head as tensors by name; a frozen head goes along, so that a file is complete."""
        head = {HEAD + name: value.detach().cpu().clone() for name, value in self.head.items()}
        return {**self.delta.state(), **head}

    def load_trained(self, tensors: dict[str, torch.Tensor]) -> None:
        """Put `trained()` back, bit for bit."""
        self.delta.load_state({name: value for name, value in tensors.items() if not name.startswith(HEAD)})
        with torch.no_grad():
            for name, parameter in self.head.items():
                parameter.copy_(tensors[HEAD + name])

    def evaluate(self, split: str, tokens: TokenSet | None = None, task: Task | None = None) -> Evaluation:
        """Score a split, in evaluation mode, without gradients."""
        with self.autocast():
            return evaluate(
                self.model,
                (tokens or self.tokens).split(split),
                task or self.task,
                family=self.family,
                labels=self.cell.labels,
                decode=self.decode,
                device=self.device,
            )


def prepare_cell(cell: Cell, inputs: Inputs, *, task: Task | None = None, classes: int | None = None) -> Ready:
    """Load and check everything; after this, only training can fail.

    Args:
        cell: what to train, or what was trained.
        inputs: folders of tokens and backbone.
        task: the task of the tokens when it is not the cell's own (zero-shot transfer).
        classes: classes of the head when they are not those of the tokens.

    Raises:
        BadInput: an input is missing or corrupt, or the method cannot be installed.
    """
    task = task or task_registry.lookup(cell.task)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # A second a few gigabytes: nothing against a cell that trains on other weights than its record names.
    verify(inputs.backbone)
    backbone = read_manifest(inputs.backbone)
    shape = BackboneShape.from_json(backbone["shape"])
    tokens = load_tokens(inputs.tokens)
    model = load_model(
        inputs.backbone,
        shape.family,
        num_labels=classes or head_units(task, cell.labels) if shape.family == "bert" else None,
        head_seed=cell.seed,
        dtype=cell.precision,
        device=str(device),
        dropout=cell.dropout,
    )
    plan = plan_of(cell, shape, masks=True)
    delta = install(model, plan, seed=cell.seed)
    head = dict(model.classifier.named_parameters()) if shape.family == "bert" else {}
    for parameter in head.values():
        parameter.data = parameter.data.float()
        parameter.requires_grad_(cell.head == "trained")
    if cell.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return Ready(
        cell=cell,
        task=task,
        tokens=tokens,
        decode=load_decoder(inputs.backbone) if shape.family == "t5" else None,
        shape=shape,
        family=shape.family,
        model=model,
        plan=plan,
        delta=delta,
        head=head,
        device=device,
        hashes={
            "tokens": digest(tokens.manifest, 64),
            "data": tokens.manifest["data"],
            "backbone": digest(backbone, 64),
        },
    )
