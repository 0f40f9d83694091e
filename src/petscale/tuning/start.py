"""The initial values of a delta.

| kind | initial values | settings |
| --- | --- | --- |
| `zeros` | 0 | |
| `constant` | `value` | `value` |
| `normal` | normal with standard deviation `std`, 0.01 unless given | `std`, `stream` |
| `uniform` | uniform within plus and minus `bound` | `bound`, `stream` |
| `fan-in` | uniform within 1 / sqrt(entries that feed one output) | `stream` |
| `vocabulary` | rows of the input embedding | `stream` |
| `origin` | the backbone's own values | |

Each tensor has its own random stream, keyed by (seed, name), so its initial values do not depend on torch's global
generator, on the device, or on the other sites of the plan. The setting `stream` replaces the name, so tensors with
equal settings draw equal numbers. The numbers are drawn with numpy, whose streams are equal on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from petscale.errors import BadInput
from petscale.tuning.site import Named, Trained

if TYPE_CHECKING:
    import torch

VERSION = 1
NORMAL_STD = 0.01  # standard deviation of adapters in the released code of Su et al.

Draw = Callable[[Trained, np.random.Generator], NDArray[np.float64]]


@dataclass(frozen=True)
class Kind:
    """A kind of start.

    Attributes:
        draw: function that makes the values ``(count,)`` in mask order; None if they are zero or the backbone's.
        needs: required settings.
        takes: optional settings.
    """

    draw: Draw | None = None
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()


def _constant(tensor: Trained, _random: np.random.Generator) -> NDArray[np.float64]:
    return np.full(tensor.count, float(tensor.start_settings["value"]))


def _normal(tensor: Trained, random: np.random.Generator) -> NDArray[np.float64]:
    return random.standard_normal(tensor.count) * float(tensor.start_settings.get("std", NORMAL_STD))


def _uniform(tensor: Trained, random: np.random.Generator) -> NDArray[np.float64]:
    return random.uniform(-1.0, 1.0, tensor.count) * float(tensor.start_settings["bound"])


def _fan_in(tensor: Trained, random: np.random.Generator) -> NDArray[np.float64]:
    return random.uniform(-1.0, 1.0, tensor.count) * _fan_in_bound(tensor)


KINDS: Mapping[str, Kind] = {
    "zeros": Kind(),
    "constant": Kind(_constant, needs=("value",)),
    "normal": Kind(_normal, takes=("std", "stream")),
    "uniform": Kind(_uniform, needs=("bound",), takes=("stream",)),
    "fan-in": Kind(_fan_in, takes=("stream",)),
    "vocabulary": Kind(takes=("stream",)),
    "origin": Kind(),
}


def check_start(named: Named) -> None:
    """Check that the start of a tensor exists and has the settings that it takes.

    Raises:
        BadInput: the kind is unknown or a setting is missing or unknown; the message names tensor and setting.
    """
    start, settings = named.tensor.start, named.tensor.start_settings
    kind = KINDS.get(start)
    if kind is None:
        raise BadInput(f"plan: {named.key}: unknown start {start!r}; starts: {', '.join(KINDS)}")
    for setting in kind.needs:
        if setting not in settings:
            raise BadInput(f"plan: {named.key}: start {start} needs a setting {setting}")
    for setting, value in settings.items():
        if setting not in (*kind.needs, *kind.takes):
            raise BadInput(f"plan: {named.key}: start {start} takes no setting {setting!r}")
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
        if not (isinstance(value, str) if setting == "stream" else number):
            raise BadInput(f"plan: {named.key}: start {start}: {setting} cannot be {value!r}")


def draw(named: Named, seed: int) -> torch.Tensor | None:
    """Draw initial values ``(count,)`` in mask order, float32 on the CPU; None for zeros.

    `origin` and `vocabulary` depend on the backbone and are not drawn here.
    """
    kind = KINDS[named.tensor.start]
    if kind.draw is None:
        return None
    import torch

    values = kind.draw(named.tensor, _stream(named, seed))
    return torch.from_numpy(values.astype(np.float32))


def draw_rows(named: Named, seed: int, vocabulary: int) -> torch.Tensor:
    """Draw the rows ``(tokens,)`` of the embedding from which soft tokens start (Lester et al. 2021, section 3.2).

    They are drawn from the whole vocabulary, because only some tokenizers put the frequent words first.
    """
    import torch

    tokens = named.tensor.shape[0]
    rows = _stream(named, seed).choice(vocabulary, size=tokens, replace=tokens > vocabulary)
    return torch.from_numpy(rows.astype(np.int64))


def _stream(named: Named, seed: int) -> np.random.Generator:
    key = named.tensor.start_settings.get("stream", named.key)
    digest = hashlib.sha256(f"petscale-start-{VERSION}/{seed}/{key}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def _fan_in_bound(tensor: Trained) -> NDArray[np.float64]:
    """1 / sqrt(fan-in) for every entry, as in kaiming_uniform(a=sqrt(5)); fan-in counts only the trained entries."""
    rank, width = tensor.shape[0], prod(tensor.shape[1:])
    fan_in = tensor.mask.quotas or (width,) * rank
    return np.concatenate([np.full(quota, quota**-0.5) for quota in fan_in if quota])
