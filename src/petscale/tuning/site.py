"""A site, as plain data: a place in the backbone where a delta acts, with the tensors that are trained there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from petscale.tuning.masks.mask import Mask

Start = Literal["zeros", "fan-in", "normal", "vocabulary", "origin"]


@dataclass(frozen=True, slots=True)
class Trained:
    """One trained tensor of a site. Only the entries of its mask exist as parameters.

    Attributes:
        key: its meaning for the operation: delta, down, up, down.bias, up.bias, tokens.
        shape: the full shape, without the mask. Factors are (rank, width).
        mask: which entries are trained; the others are zero (a change of a weight leaves the backbone's value there).
        start: initial values: `zeros`; `fan-in`, uniform within 1 / sqrt(entries that feed one output); `normal`, with
            standard deviation 0.01; `vocabulary`, rows of the input embedding; `origin`, the backbone's own values.
        effective: number of entries whose derivative is structurally non-zero at a generic point.
    """

    key: str
    shape: tuple[int, ...]
    mask: Mask
    start: Start
    effective: int

    @property
    def count(self) -> int:
        return self.mask.count(self.shape)


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the backbone where the delta acts.

    Attributes:
        name: name that is unique in a plan; it is part of the key of the site's random streams.
        module: path of the module that is changed.
        operation: how the module is changed; a name in `petscale.tuning.operations.registry`.
        parametrisation: how the change is computed from the trained tensors; a name in
            `petscale.tuning.parametrisations.registry`.
        role: see petscale.families.parts.
        tensors: the trained tensors.
        settings: constants of the operation, such as the scale of a branch.
    """

    name: str
    module: str
    operation: str
    parametrisation: str
    role: str
    tensors: tuple[Trained, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(tensor.count for tensor in self.tensors)

    def key(self, tensor: Trained) -> str:
        """Name of a tensor of this site in states, files and random streams."""
        return f"{self.name}/{tensor.key}"


class Named(NamedTuple):
    """A trained tensor with its name in states, files and random streams."""

    key: str
    tensor: Trained

    def indices(self) -> NDArray[np.int64]:
        """Flat positions ``(count,)`` of the trained entries, in mask order."""
        return self.tensor.mask.indices(self.tensor.shape, self.key)
