"""Loads everything that a cell needs before its first step: tokens, backbone, delta and head."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from petscale import tasks as task_registry
from petscale.artefacts.canonical import digest
from petscale.backbones.folder import read_manifest, verify
from petscale.backbones.load import load_model
from petscale.data.decode import Decode, load_decoder
from petscale.data.tokens import TokenSet, load_tokens
from petscale.errors import BadInput
from petscale.families.family import Family
from petscale.families.registry import family_of
from petscale.families.shape import BackboneShape
from petscale.parallel.team import ALONE, Team, full_tensor
from petscale.scoring.evaluate import Evaluation, evaluate
from petscale.study.cell import Cell
from petscale.study.counting import plan_of
from petscale.study.stages import version
from petscale.tasks import Task
from petscale.tuning.files import HEAD
from petscale.tuning.install import Delta, install
from petscale.tuning.plan import Plan
from petscale.tuning.registry import METHODS

if TYPE_CHECKING:
    from petscale.parallel.shards import Sharded


@dataclass(frozen=True)
class Inputs:
    """The folders of a cell's inputs, each with its manifest."""

    tokens: Path
    backbone: Path


@dataclass
class Ready:
    """A cell that is loaded and ready to train.

    In a team every process has one, and all processes must call its methods together.

    Attributes:
        team: the processes that train it.
        micro_batch: most examples that a process handles at once; None for all of its share.
        sharded: the sharded model of full fine-tuning on several devices; None if every process has all parameters.
    """

    cell: Cell
    task: Task  # of the tokens
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
    team: Team = ALONE
    micro_batch: int | None = None
    sharded: Sharded | None = None

    @property
    def identity(self) -> str:
        """Digest of the cell, its inputs and the code versions; only a checkpoint with an equal one is resumed."""
        return identity(self.cell, self.family.name, self.hashes)

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """The parameters for the optimizer: the delta, and the head if it is trained."""
        head = list(self.head.values()) if self.cell.head == "trained" else []
        return [*self.delta.parameters(), *head]

    @property
    def batches_an_epoch(self) -> int:
        """The number of batches in which each train row comes once; the last may be smaller."""
        return -(-len(self.tokens.split("train")) // self.cell.batch_size)

    @property
    def autocast(self) -> Callable[[], contextlib.AbstractContextManager[Any]]:
        """Mixed precision for a bfloat16 backbone, so that float32 masters can be used with its activations."""
        if self.cell.precision == "float32":
            return contextlib.nullcontext
        return lambda: torch.autocast(self.device.type, dtype=torch.bfloat16)

    def trained(self) -> dict[str, torch.Tensor]:
        """Delta and head as tensors by name; a frozen head is included, so that a file is complete.

        Only the leading process gets the tensors, in full; otherwise large states would be held several times.
        """
        keep = self.team.leads
        head = ((HEAD + name, full_tensor(value.detach())) for name, value in self.head.items())
        return {**self.delta.state(keep=keep), **{name: value.cpu().clone() for name, value in head if keep}}

    def changed(self) -> int:
        """Number of scalars of the delta that differ from their initial value."""
        changed = self.delta.changed()
        return changed if self.sharded is None else sum(self.team.gather(changed))

    def load_trained(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore the leading process's result of `trained()` bit for bit; the input of other processes is ignored."""
        if self.team.size > 1:
            places = dict(self.delta.named_parameters()) | {HEAD + name: value for name, value in self.head.items()}
            tensors = {name: self.team.scatter(tensors.get(name), like) for name, like in places.items()}
        self.delta.load_state({name: value for name, value in tensors.items() if not name.startswith(HEAD)})
        with torch.no_grad():
            for name, parameter in self.head.items():
                parameter.copy_(tensors[HEAD + name])

    def evaluate(self, split: str, tokens: TokenSet | None = None, task: Task | None = None) -> Evaluation:
        """Score a split, in evaluation mode, without gradients."""
        model = contextlib.nullcontext(self.model) if self.sharded is None else self.sharded.gathered()
        with self.autocast(), model as scored:
            return evaluate(
                scored,
                (tokens or self.tokens).split(split),
                task or self.task,
                family=self.family,
                labels=self.cell.labels,
                decode=self.decode,
                device=self.device,
                team=self.team,
            )


def prepare_cell(
    cell: Cell,
    inputs: Inputs,
    *,
    team: Team = ALONE,
    micro_batch: int | None = None,
) -> Ready:
    """Load and check everything, so that wrong inputs are found before training.

    Args:
        cell: the cell to train, or the trained cell to score.
        inputs: folders of tokens and backbone. The tokens are those of the cell's task, or of another task on which
            the trained cell is scored (zero-shot transfer).
        team: the processes that train the cell together, as seen by this one.
        micro_batch: most examples that a process handles at once.

    Raises:
        BadInput: an input is missing or corrupt, or the method cannot be installed.
    """
    device = _device(team)
    # Only the states of full fine-tuning are too large for one device. A delta is small, so its backbone is copied.
    shards = team.size > 1 and cell.method == "full"
    if shards and cell.masters != "float32":
        raise BadInput(f"cell {cell.path}: masters: {cell.masters}: full fine-tuning on several devices needs float32")
    # This takes a second for some gigabytes, and makes sure that a cell trains on the weights that its record names.
    if team.leads:
        verify(inputs.backbone)
    backbone = read_manifest(inputs.backbone)
    shape = BackboneShape.from_json(backbone["shape"])
    family = family_of(shape)
    tokens = load_tokens(inputs.tokens)
    model = load_model(
        inputs.backbone,
        family.name,
        # The head is that of the cell's own task, also where the tokens are of another one.
        num_labels=family.head_units(task_registry.lookup(cell.task), cell.labels) if family.has_head else None,
        head_seed=cell.seed,
        dtype=cell.precision,
        device="cpu" if shards else str(device),
        dropout=cell.dropout,
    )
    sharded = None
    if shards:
        from petscale.parallel.shards import Sharded

        sharded = Sharded(model, team, device, units=family.shard_units(model))
    plan = plan_of(cell, shape, masks=True)
    _check_room(tokens, shape, plan)
    masters = getattr(torch, cell.masters)
    delta = install(model, plan, seed=cell.seed, masters=masters)
    head = family.head(model)
    for parameter in head.values():
        if sharded is None:  # shards are float32 already
            parameter.data = parameter.data.to(masters)
        parameter.requires_grad_(cell.head == "trained")
    if cell.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return Ready(
        cell=cell,
        task=task_registry.lookup(tokens.manifest["task"]),
        tokens=tokens,
        decode=None if family.has_head else load_decoder(inputs.backbone),
        shape=shape,
        family=family,
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
        team=team,
        micro_batch=micro_batch,
        sharded=sharded,
    )


def _check_room(tokens: TokenSet, shape: BackboneShape, plan: Plan) -> None:
    """Refuse soft tokens for which the longest input leaves no position, now and not at the batch that holds it."""
    if not (plan.soft_tokens and shape.max_positions):
        return
    longest = max(int(tokens.split(split).lengths.max(initial=0)) for split in tokens.splits)
    if longest + plan.soft_tokens > shape.max_positions:
        raise BadInput(
            f"{tokens.folder}: inputs of up to {longest} tokens and the {plan.soft_tokens} soft tokens of {plan.method}"
            f" exceed the backbone's {shape.max_positions} positions; use fewer soft tokens"
        )


def identity(cell: Cell, family: str, hashes: Mapping[str, str]) -> str:
    """What a cell is made of: its specification, the versions of the code, and its inputs by their digests."""
    versions = f"{version('train', family)}.{METHODS[cell.method].version}"
    return f"{cell.digest}:{versions}:{hashes['tokens']}:{hashes['backbone']}"


def was_given_a_gpu() -> bool:
    """Whether this process was given a GPU and has a build of torch that could use it."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return torch.version.cuda is not None and given not in ("", "-1", "NoDevFiles")


def _device(team: Team) -> torch.device:
    if not torch.cuda.is_available():
        if was_given_a_gpu():
            # Otherwise the cell would occupy a GPU but train on one core, and its record would not show it.
            raise BadInput(
                f"{socket.gethostname()}: CUDA_VISIBLE_DEVICES={os.environ['CUDA_VISIBLE_DEVICES']}, but CUDA "
                f"{torch.version.cuda} of torch {torch.__version__} cannot use it (an older driver, or none?)"
            )
        return torch.device("cpu")
    return torch.device("cuda") if team.size == 1 else torch.device("cuda", team.rank)
