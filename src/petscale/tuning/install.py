"""Installs a plan in a model; no other code does."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from petscale.errors import BadInput
from petscale.families.registry import family_of
from petscale.parallel.team import to_local
from petscale.tuning.block import Block, entry_indices, nearest_parameter
from petscale.tuning.delta import Delta
from petscale.tuning.host import Host
from petscale.tuning.operations.operation import Attachment
from petscale.tuning.operations.registry import operation_of
from petscale.tuning.plan import Plan
from petscale.tuning.site import Named, Site
from petscale.tuning.start import draw, draw_rows

__all__ = ["Delta", "install"]


def install(model: nn.Module, plan: Plan, *, seed: int, masters: torch.dtype = torch.float32) -> Delta:
    """Freeze the model and install the plan's delta; forward and `generate` then take the same batches as before.

    All parameters of the model are frozen, including a classification head. A caller that trains the head must unfreeze
    it afterwards.

    Args:
        model: the model of transformers, with the plan's shape, already in its precision and on its device.
        plan: the plan to install.
        seed: seed of the delta's initial values; torch's global random generator is not used.
        masters: precision of the trained values. If the model has a higher one, they have that of the model.

    Returns:
        The delta; its parameters are float32 for any lower precision of the model, unless `masters` says otherwise.

    Raises:
        BadInput: the plan was made for another backbone.
    """
    host = Host(model, plan.shape)
    check(host, plan)
    model.requires_grad_(False)
    blocks: dict[str, Block] = {}
    attachments: list[Attachment] = []
    for site in plan.sites:
        tensors = plan.tensors_of(site)
        for named in tensors.values():
            if named.key not in blocks:  # a shared tensor has one block, where its first site is
                blocks[named.key] = _block(host, site, named, seed, masters)
        of_site = {key: blocks[named.key] for key, named in tensors.items()}
        operation = operation_of(site)
        if operation.acts(site):
            attachments.append(operation.attach(host, site, of_site))
    return Delta(host, plan, blocks, attachments)


def _block(host: Host, site: Site, named: Named, seed: int, masters: torch.dtype) -> Block:
    key, tensor = named
    anchor = nearest_parameter(host.model, site.module)
    # Masters are never coarser than the model; tests of gradients have float64 models.
    dtype = torch.promote_types(masters, anchor.dtype)
    indices = entry_indices(named, anchor.device)
    if tensor.start == "origin":
        return _block_of_weight(host, site, named, dtype)
    if tensor.start == "vocabulary":
        embedding: nn.Embedding = host.model.get_input_embeddings()  # type: ignore[operator]
        rows = draw_rows(named, seed, embedding.num_embeddings)
        beginning: Tensor | None = embedding.weight.detach()[rows.to(anchor.device)].cpu().to(dtype)
    else:
        beginning = draw(named, seed)
    shape = (tensor.count,) if indices is not None else tensor.shape
    value = torch.zeros(shape) if beginning is None else beginning.reshape(shape)
    beginning = None if beginning is None else value.to(dtype)
    return Block(key, tensor, nn.Parameter(value.to(anchor.device, dtype, copy=True)), indices, beginning)


def _block_of_weight(host: Host, site: Site, named: Named, dtype: torch.dtype) -> Block:
    """The master of a weight that is trained completely: the weight itself if its precision suffices, else a copy."""
    weight = operation_of(site).trains(host, site)
    if weight is None:
        raise BadInput(f"plan: {named.key} starts from a weight of the backbone, but {site.operation} trains none")
    beginning = to_local(weight.detach()).cpu().to(dtype, copy=True)
    if weight.dtype == dtype:
        weight.requires_grad_(True)
        return Block(named.key, named.tensor, weight, None, beginning)
    return Block(named.key, named.tensor, nn.Parameter(weight.detach().to(dtype)), None, beginning)


def check(host: Host, plan: Plan) -> None:
    """Check that a plan can be installed in a model.

    Raises:
        BadInput: the plan was made for another backbone, or two of its sites train the same tied tensor.
    """
    family_of(plan.shape).check_ties(host.model, plan.shape)
    seen: dict[int, str] = {}
    for site in plan.sites:
        operation = operation_of(site)
        operation.check(host, site)
        weight = operation.trains(host, site)
        if weight is None:
            continue
        if id(weight) in seen:
            raise BadInput(f"plan: {seen[id(weight)]} and {site.name} are one tied tensor in the model")
        seen[id(weight)] = site.name
