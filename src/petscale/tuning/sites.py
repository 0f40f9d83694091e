"""Functions that make the common kinds of sites from a weight or a place of the inventory."""

from __future__ import annotations

from collections.abc import Sequence

from petscale.families.parts import Place, Ranges, Weight
from petscale.tuning.masks.mask import Mask
from petscale.tuning.site import Site, Trained

DENSE = Mask("dense")


def _length(ranges: Ranges) -> int:
    return sum(stop - start for start, stop in ranges)


def living(weight: Weight) -> int:
    """Number of entries of a weight that are not dead."""
    return weight.size - _length(weight.dead)


def whole_weight(weight: Weight) -> Site:
    """A site that trains every entry of a weight, starting from the weight's value."""
    tensor = Trained("delta", weight.shape, DENSE, "origin", living(weight))
    return Site(f"add:{weight.name}", weight.module, "add", "plain", weight.role, (tensor,), {"tensor": weight.tensor})


def masked_weight(weight: Weight, mask: Mask) -> Site:
    """W + W1 (.) m1 in a weight of the backbone (equation 14, on a weight). The mask leaves out dead entries."""
    tensor = Trained("delta", weight.shape, mask, "zeros", mask.count(weight.shape))
    return Site(f"add:{weight.name}", weight.module, "add", "plain", weight.role, (tensor,), {"tensor": weight.tensor})


def inserted_bias(place: Place, *, mask: Mask = DENSE, width: int | None = None) -> Site:
    """f(h) + W1 (.) m1: a vector added to the first `width` entries of a module's output (equation 14 as written)."""
    shape = (place.width_out if width is None else width,)
    count = mask.count(shape)
    tensor = Trained("delta", shape, mask, "zeros", 0 if place.dead else count)
    return Site(f"add-hidden:{place.module}", place.module, "add-hidden", "plain", place.role, (tensor,))


def inserted_table(place: Place, shape: tuple[int, int], effective: int) -> Site:
    """A relative-position table ``(buckets, heads)`` that is added to the scores of an attention without one."""
    tensor = Trained("delta", shape, DENSE, "zeros", 0 if place.dead else effective)
    return Site(f"add-scores:{place.module}", place.module, "add-scores", "plain", place.role, (tensor,))


def soft_tokens(place: Place, tokens: int) -> Site:
    """[X; W_prompt] (equation 9): trained vectors ``(tokens, d)`` in the input sequence."""
    shape = (tokens, place.width_out)
    tensor = Trained("tokens", shape, DENSE, "vocabulary", tokens * place.width_out)
    return Site(f"concat-input:{place.module}", place.module, "concat-input", "plain", place.role, (tensor,))


def branch(place: Place, rank: int, scale: float, *, masks: tuple[Mask, Mask] = (DENSE, DENSE)) -> Site:
    """f(h) + scale * h W_down W_up beside a linear layer (equations 12, 15): ``(rank, in)`` and ``(rank, out)``."""
    down = _factor("down", (rank, place.width_in), masks[0], "fan-in", place.dead)
    up = _factor("up", (rank, place.width_out), masks[1], "zeros", place.dead)
    name = f"concat:{place.module}"
    return Site(name, place.module, "concat", "low-rank", place.role, (down, up), {"scale": scale})


def bottleneck(
    place: Place,
    width: int,
    activation: str,
    *,
    biases: bool,
    masks: tuple[Mask, Mask] = (DENSE, DENSE),
    starts: Sequence[str] = ("normal", "normal"),
) -> Site:
    """f(h) + act(f(h) W_down) W_up on a module's output (equations 13 and 16), optionally with two biases."""
    tensors = [
        _factor("down", (width, place.width_in), masks[0], starts[0], place.dead),
        _factor("up", (width, place.width_out), masks[1], starts[1], place.dead),
    ]
    if biases:
        tensors.append(_factor("down.bias", (width,), DENSE, "zeros", place.dead))
        tensors.append(_factor("up.bias", (place.width_out,), DENSE, "zeros", place.dead))
    name = f"plug:{place.module}"
    return Site(name, place.module, "plug", "low-rank", place.role, tuple(tensors), {"activation": activation})


def _factor(key: str, shape: tuple[int, ...], mask: Mask, start: str, dead: bool) -> Trained:
    return Trained(key, shape, mask, start, 0 if dead else mask.count(shape))
