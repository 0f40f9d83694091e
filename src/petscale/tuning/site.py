"""A site, as plain data: a place in the backbone where a delta acts, with the tensors that are trained there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from petscale.artefacts.growth import later
from petscale.tuning.masks.mask import Mask


@dataclass(frozen=True, slots=True)
class Trained:
    """One trained tensor of a site. Only the entries of its mask exist as parameters.

    Attributes:
        key: its meaning for the operation: delta, down, up, down.bias, up.bias, tokens.
        shape: the full shape, without the mask. Factors are (rank, width).
        mask: which entries are trained; the others are zero (a change of a weight leaves the backbone's value there).
        start: kind of initial values; `petscale.tuning.start` lists the kinds.
        effective: number of entries whose derivative is structurally non-zero at a generic point.
        start_settings: parameters of the kind of start, such as a standard deviation.
    """

    key: str
    shape: tuple[int, ...]
    mask: Mask
    start: str
    effective: int
    start_settings: Mapping[str, Any] = later({})

    @property
    def count(self) -> int:
        """The number of entries of the mask, which are trained."""
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
        uses: tensors that the plan's sites share (`Plan.shared`): key in this site -> key there.
    """

    name: str
    module: str
    operation: str
    parametrisation: str
    role: str
    tensors: tuple[Trained, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    uses: Mapping[str, str] = later({})

    @property
    def count(self) -> int:
        """Number of trained scalars of this site, without shared ones, which belong to the plan."""
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
