"""The content of a HF PEFT folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from petscale.tuning.block import scatter
from petscale.tuning.site import Named


@dataclass(frozen=True)
class PeftFiles:
    """The content of `adapter_config.json` and `adapter_model.safetensors`."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]


def whole(named: Named, values: Mapping[str, Tensor]) -> Tensor:
    """A trained tensor in its full shape, zero outside the mask."""
    dense = named.tensor.mask.structure == "dense"
    indices = None if dense else torch.from_numpy(named.indices())
    return scatter(values[named.key], indices, named.tensor.shape)
