"""A trained delta in HF PEFT's file format, for the methods that PEFT has.

Written without PEFT, which is a test-only dependency: a folder is a JSON config and a safetensors file, and a test
loads both with `PeftModel.from_pretrained`. What PEFT has:

- branches beside linear layers (`lora`, and APET by `concat`): LoRA;
- soft tokens on T5 (`prompt`): prompt tuning. On BERT PEFT puts them before [CLS], which the pooler then does not read:
  another method;
- masked entries of linear weights (`apet-*` by `add`): SHiRA, whose layers hold r (m + n) entries, so each is filled up
  with entries of value zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from petscale.tuning.block import scatter
from petscale.tuning.plan import Plan, Site, Trained

HEAD = "head/"  # prefix of a classification head's tensors in a cell's file
_MATRICES = ("self.", "cross.", "ffn.")


@dataclass(frozen=True)
class PeftFiles:
    """Content of `adapter_config.json` and `adapter_model.safetensors`."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]


def to_peft(
    plan: Plan, values: Mapping[str, Tensor], extras: Mapping[str, Tensor], base_model: str
) -> PeftFiles | None:
    """The delta as PEFT reads it; None where PEFT has no such method.

    Args:
        plan: of the delta.
        values: as `Delta.state`.
        extras: tensors beside the delta; a classification head travels along.
        base_model: name of the backbone, for the config.
    """
    operations = {site.operation for site in plan.sites}
    if operations == {"concat"}:
        made = _lora(plan, values)
    elif operations == {"concat-input"} and plan.shape.family == "t5":
        made = _prompt(plan, values)
    elif operations == {"add"} and all(_masked_matrix(site) for site in plan.sites):
        made = _shira(plan, values)
    else:
        return None
    if made is None:
        return None
    bert = plan.shape.family == "bert"
    head = {name.removeprefix(HEAD): value for name, value in extras.items() if name.startswith(HEAD)}
    config = {
        "base_model_name_or_path": base_model,
        "task_type": "SEQ_CLS" if bert else "SEQ_2_SEQ_LM",
        "inference_mode": True,
        "modules_to_save": ["classifier"] if head else None,
        **made.config,
    }
    saved_head = {f"base_model.model.classifier.{name}": value for name, value in head.items()}
    tensors = {name: value.contiguous() for name, value in {**made.tensors, **saved_head}.items()}
    return PeftFiles(config, tensors)


def _lora(plan: Plan, values: Mapping[str, Tensor]) -> PeftFiles | None:
    ranks = {site.tensors[0].shape[0] for site in plan.sites}
    scales = {float(site.settings["scale"]) for site in plan.sites}
    if len(ranks) != 1 or len(scales) != 1:
        return None
    (rank,), (scale,) = ranks, scales
    config = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": scale * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": [site.module for site in plan.sites],
    }
    tensors = {}
    for site in plan.sites:
        down, up = (_whole(site, tensor, values) for tensor in site.tensors)
        tensors[f"base_model.model.{site.module}.lora_A.weight"] = down
        tensors[f"base_model.model.{site.module}.lora_B.weight"] = up.T
    return PeftFiles(config, tensors)


def _prompt(plan: Plan, values: Mapping[str, Tensor]) -> PeftFiles:
    (site,) = plan.sites
    tokens, width = site.tensors[0].shape
    config = {
        "peft_type": "PROMPT_TUNING",
        "num_virtual_tokens": tokens,
        "token_dim": width,
        "num_transformer_submodules": 1,
        "num_attention_heads": plan.shape.heads,
        "num_layers": plan.shape.layers,
        "prompt_tuning_init": "RANDOM",
    }
    return PeftFiles(config, {"prompt_embeddings": _whole(site, site.tensors[0], values)})


def _shira(plan: Plan, values: Mapping[str, Tensor]) -> PeftFiles | None:
    rank = max(-(-site.count // sum(site.tensors[0].shape)) for site in plan.sites)
    if any(rank * sum(site.tensors[0].shape) > _size(site.tensors[0]) for site in plan.sites):
        return None
    tensors = {}
    for site in plan.sites:
        (tensor,) = site.tensors
        rows, columns = tensor.shape
        key = site.key(tensor)
        entries = torch.from_numpy(tensor.mask.indices(tensor.shape, key))
        room = rank * (rows + columns) - len(entries)
        flat = torch.cat([entries, entries.new_zeros(room)])
        prefix = f"base_model.model.{site.module}"
        tensors[f"{prefix}.shira_indices"] = torch.stack([flat // columns, flat % columns]).int()
        tensors[f"{prefix}.shira_weight"] = torch.cat([values[key], values[key].new_zeros(room)])
    modules = [site.module for site in plan.sites]
    return PeftFiles({"peft_type": "SHIRA", "r": rank, "mask_type": "random", "target_modules": modules}, tensors)


def _masked_matrix(site: Site) -> bool:
    return site.role.startswith(_MATRICES) and site.settings["tensor"] == "weight" and site.tensors[0].start == "zeros"


def _size(tensor: Trained) -> int:
    return tensor.shape[0] * tensor.shape[1]


def _whole(site: Site, tensor: Trained, values: Mapping[str, Tensor]) -> Tensor:
    key = site.key(tensor)
    dense = tensor.mask.structure == "dense"
    indices = None if dense else torch.from_numpy(tensor.mask.indices(tensor.shape, key))
    return scatter(values[key], indices, tensor.shape)
