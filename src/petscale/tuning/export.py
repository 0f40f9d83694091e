"""Exports a trained delta in HF PEFT's file format, for the methods that PEFT has.

The files are written without PEFT, which only the tests need: a folder has a JSON config and a safetensors file, and a
test loads both with `PeftModel.from_pretrained`. The operation decides the format: LoRA or LoKr for branches beside
linear layers (`concat`), prompt tuning for soft tokens if the family puts them in the same place as PEFT
(`concat-input`), IA3 for scales (`scale`), LN tuning for whole normalisations, and SHiRA for masked entries of linear
weights (both `add`).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from petscale.families.registry import family_of
from petscale.tuning.files import HEAD
from petscale.tuning.operations.peft import PeftFiles
from petscale.tuning.operations.registry import OPERATIONS
from petscale.tuning.plan import Plan


def to_peft(
    plan: Plan, values: Mapping[str, Tensor], extras: Mapping[str, Tensor], base_model: str
) -> PeftFiles | None:
    """The delta in PEFT's format; None if PEFT has no such method.

    Args:
        plan: plan of the delta.
        values: values of the delta, as from `Delta.state`.
        extras: tensors in addition to the delta, such as a classification head.
        base_model: name of the backbone, for the config.
    """
    operations = {site.operation for site in plan.sites}
    if len(operations) != 1:
        return None
    made = OPERATIONS[operations.pop()].export(plan, values)
    if made is None:
        return None
    head = {name.removeprefix(HEAD): value for name, value in extras.items() if name.startswith(HEAD)}
    config = {
        "base_model_name_or_path": base_model,
        "task_type": family_of(plan.shape).peft_task,
        "inference_mode": True,
        "modules_to_save": ["classifier"] if head else None,
        **made.config,
    }
    saved_head = {f"base_model.model.classifier.{name}": value for name, value in head.items()}
    tensors = {name: value.contiguous() for name, value in {**made.tensors, **saved_head}.items()}
    return PeftFiles(config, tensors)
