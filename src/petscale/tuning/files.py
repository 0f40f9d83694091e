"""A delta as a safetensors file: the trained values, and in the header the plan by which they are installed again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from petscale.artefacts.files import write_atomically
from petscale.errors import BadInput
from petscale.tuning.delta import Delta
from petscale.tuning.plan import Plan

FORMAT = "petscale-delta-1"
HEADER = "petscale"
HEAD = "head/"  # prefix of a classification head's tensors, which do not belong to the delta


def save_delta(
    path: Path,
    delta: Delta,
    *,
    state: Mapping[str, Tensor] | None = None,
    extra_tensors: Mapping[str, Tensor] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a delta atomically; the same delta gives the same bytes.

    Args:
        path: a `.safetensors` file.
        delta: the delta to save.
        state: its values, if they were gathered already.
        extra_tensors: tensors of the cell that are not in the plan, such as a classification head; other names.
        metadata: information for readers, stored in the header beside the plan.

    Raises:
        BadInput: an extra tensor has the name of a delta's.
    """
    tensors = dict(delta.state() if state is None else state)
    extras = {name: value.detach().cpu().contiguous() for name, value in (extra_tensors or {}).items()}
    if clash := tensors.keys() & extras.keys():
        raise BadInput(f"{path}: tensor {min(clash)} belongs to the delta")
    document = {"format": FORMAT, "plan": delta.plan.to_json(), "extra": sorted(extras), "about": dict(metadata or {})}
    # Only one key is used, because safetensors writes several keys in an order that differs between processes.
    header = {HEADER: json.dumps(document, sort_keys=True, separators=(",", ":"))}
    write_atomically(path, save({**tensors, **extras}, metadata=header))


def load_delta(path: Path) -> tuple[Plan, dict[str, Tensor]]:
    """Load the plan and the values of a saved delta, for `install` and `Delta.load_state`.

    Raises:
        BadInput: the file cannot be read or is not a delta.
    """
    header, tensors = _read(path)
    extras = set(header["extra"])
    plan = Plan.from_json(header["plan"])
    return plan, {name: value for name, value in tensors.items() if name not in extras}


def load_extra(path: Path) -> dict[str, Tensor]:
    """Load the tensors that were saved in addition to the delta.

    Raises:
        BadInput: as `load_delta`.
    """
    header, tensors = _read(path)
    return {name: tensors[name] for name in header["extra"]}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as handle:
            header = json.loads((handle.metadata() or {}).get(HEADER, "{}"))
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        raise BadInput(f"{path}: not a readable delta ({error})") from None
    if header.get("format") != FORMAT:
        raise BadInput(f"{path}: key format: {header.get('format')!r} is not {FORMAT!r}; not a delta of petscale")
    return header, tensors
