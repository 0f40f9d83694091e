"""The only code that puts a plan into a model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from petscale.errors import BadInput
from petscale.parallel.team import to_local
from petscale.tuning import start
from petscale.tuning.block import Block, entry_indices, nearest_parameter
from petscale.tuning.delta import Delta
from petscale.tuning.live import LiveWeight
from petscale.tuning.operations import INSERTIONS
from petscale.tuning.operations.hooks import Handle
from petscale.tuning.plan import Plan, Site, Trained

__all__ = ["Delta", "install"]


def install(model: nn.Module, plan: Plan, *, seed: int) -> Delta:
    """Freeze the model and put the plan's delta into it; its forward and `generate` then take the same batches.

    Everything of the model is frozen, a classification head too: who trains it unfreezes it afterwards.

    Args:
        model: `T5ForConditionalGeneration` or `BertForSequenceClassification` of the plan's shape, in its precision and
            on its device.
        plan: what to train.
        seed: of the delta's start; torch's global generator is neither read nor moved.

    Returns:
        The delta; its parameters are float32 whatever the precision of the model.

    Raises:
        BadInput: the plan was made for another backbone.
    """
    check(model, plan)
    model.requires_grad_(False)
    blocks: dict[str, Block] = {}
    live: list[LiveWeight] = []
    handles: list[Handle] = []
    users = users_of_tensors(model)
    for site in plan.sites:
        own = {tensor.key: _block(model, site, tensor, seed) for tensor in site.tensors}
        blocks.update({site.key(tensor): own[tensor.key] for tensor in site.tensors})
        if site.operation == "add":
            weight = live_tensor(model, site)
            entry = LiveWeight(weight, own["delta"])
            live.append(entry)
            attached = (entry.attach(module, tensor) for module, tensor in users[id(weight)])
            handles += [handle for handle in attached if handle is not None]
        elif acts(site):
            handles += INSERTIONS[site.operation](model, site, partial(_value, own))
    return Delta(model, plan, blocks, live, handles)


def live_tensor(model: nn.Module, site: Site) -> nn.Parameter:
    """The backbone's tensor that an `add` site changes."""
    tensor = getattr(model.get_submodule(site.module), str(site.settings["tensor"]))
    assert isinstance(tensor, nn.Parameter)
    return tensor


def _value(blocks: dict[str, Block], key: str, dtype: torch.dtype) -> Tensor:
    return blocks[key].whole(dtype)


def acts(site: Site) -> bool:
    """Inert sites of published counts (all of it ineffective tables) are held and saved but not attached."""
    return site.operation != "add-scores" or any(tensor.effective for tensor in site.tensors)


def users_of_tensors(model: nn.Module) -> dict[int, list[tuple[nn.Module, str]]]:
    """Modules by the tensor they use: tied tensors have several."""
    users: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for name, tensor in module._parameters.items():
            if tensor is not None:
                users.setdefault(id(tensor), []).append((module, name))
    return users


def _block(model: nn.Module, site: Site, tensor: Trained, seed: int) -> Block:
    key = site.key(tensor)
    anchor = nearest_parameter(model, site.module)
    # Masters are float32; only the float64 models of gradient tests have wider ones.
    dtype = torch.promote_types(torch.float32, anchor.dtype)
    indices = entry_indices(site, tensor, anchor.device)
    if tensor.start == "origin":
        weight = live_tensor(model, site)
        beginning: Tensor | None = to_local(weight.detach()).cpu().to(dtype, copy=True)
        if weight.dtype == dtype:
            weight.requires_grad_(True)
            return Block(key, tensor, weight, indices, beginning)
        return Block(key, tensor, nn.Parameter(weight.detach().to(dtype)), indices, beginning)
    if tensor.start == "vocabulary":
        embedding: nn.Embedding = model.get_input_embeddings()  # type: ignore[operator]
        rows = start.draw_rows(tensor, key, seed, embedding.num_embeddings)
        beginning = embedding.weight.detach()[rows.to(anchor.device)].cpu().to(dtype)
    else:
        beginning = start.draw(tensor, key, seed)
    shape = (tensor.count,) if indices is not None else tensor.shape
    value = torch.zeros(shape) if beginning is None else beginning.reshape(shape)
    beginning = None if beginning is None else value.to(dtype)
    return Block(key, tensor, nn.Parameter(value.to(anchor.device, dtype, copy=True)), indices, beginning)


def check(model: nn.Module, plan: Plan) -> None:
    modules = dict(model.named_modules())
    _check_tying(modules, plan)
    seen: dict[int, str] = {}
    for site in plan.sites:
        if site.module not in modules:
            raise BadInput(f"plan: the model has no module {site.module}; the plan was made for another backbone")
        if site.operation != "add":
            continue
        tensor = getattr(modules[site.module], str(site.settings["tensor"]), None)
        wanted = site.tensors[0].shape
        if tensor is None or tuple(tensor.shape) != wanted:
            found = None if tensor is None else tuple(tensor.shape)
            raise BadInput(f"plan: {site.name} has shape {wanted}, the model has {found}; another backbone")
        if id(tensor) in seen:
            raise BadInput(f"plan: {seen[id(tensor)]} and {site.name} are one tied tensor in the model")
        seen[id(tensor)] = site.name


def _check_tying(modules: Mapping[str, nn.Module], plan: Plan) -> None:
    """transformers 5 unties T5's output head only where a checkpoint has one; a plan must count what is there."""
    if plan.shape.family != "t5":
        return
    used = [getattr(modules.get(name), "weight", None) for name in ("shared", "encoder.embed_tokens", "lm_head")]
    if any(weight is None for weight in used):
        raise BadInput("plan: made for a T5 with a language-modelling head, the model is another backbone")
    tied = used[2] is used[0]
    if tied != plan.shape.tied or used[1] is not used[0]:
        said, found = ("tied" if flag else "untied" for flag in (plan.shape.tied, tied))
        raise BadInput(f"plan: its backbone's vocabulary matrices are {said}, the model's are {found}")
