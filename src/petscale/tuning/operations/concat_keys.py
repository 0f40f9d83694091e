"""concat-keys: [P_K; K] and [P_V; V] inside an attention (Li and Liang 2021; Lialin et al. section 6.2).

All queries see the added keys, and no query is added. The backbone's relative positions stay as they are by default.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from petscale.families.registry import family_of
from petscale.tuning.host import Host
from petscale.tuning.operations.gate import gate_of, gated
from petscale.tuning.operations.hooks import Handle, Values, in_dtype
from petscale.tuning.operations.operation import Insertion, parametrisation
from petscale.tuning.site import Site

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class ConcatKeys(Insertion):
    """The parts are `keys` and `values`, ``(count, inner)``; each row is cut into heads. A gate may multiply both.

    The setting `positions` says what a relative-position table adds to their scores:

    * `none`: nothing; the keys of the sequence keep their distances.
    * `before`: the scores of keys that stand in front of the sequence, whose own keys keep their distances.
    * `shifted`: the sequence's keys are moved behind the added ones and the queries are not, as in adapters 1.3.0.
    """

    name = "concat-keys"

    def adds_keys(self, site: Site) -> bool:
        """True: its keys do not come from the sequence."""
        return True

    def check(self, host: Host, site: Site) -> None:
        """Check that the module is an attention of a kind that can take more keys.

        Raises:
            BadInput: the module is missing or of another kind.
        """
        from petscale.tuning.operations.attention import check_attention

        super().check(host, site)
        check_attention(host.module(site.module), site.module)

    def insert(self, host: Host, site: Site, values: Values) -> list[Handle]:
        """Put the trained keys and values before those of the sequence, for every head."""
        from petscale.tuning.operations.attention import Changed, MoreKeys

        made, attention = parametrisation(site), host.module(site.module)

        def vectors(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
            factors = in_dtype(values, dtype)
            keys, added = (made.make(factors, part) for part in ("keys", "values"))
            return _in_heads(keys, host.shape.heads), _in_heads(added, host.shape.heads)

        scores = partial(_scores, host, site)
        if not gated(site):
            return [Changed(attention, MoreKeys(vectors, scores, None))]
        gates: list[Tensor] = []  # one at most; if a pass was interrupted, the next one replaces it

        def look(_module: nn.Module, args: tuple[Any, ...]) -> None:
            gates[:] = [gate_of(site, args[0], in_dtype(values, args[0].dtype))]

        change = Changed(attention, MoreKeys(vectors, scores, gates.pop))
        return [attention.register_forward_pre_hook(look), change]


def _in_heads(rows: Tensor, heads: int) -> Tensor:
    """Rows ``(count, inner)`` as ``(heads, count, d_kv)``."""
    return rows.reshape(len(rows), heads, -1).transpose(0, 1)


def _scores(host: Host, site: Site, own: Tensor) -> Tensor:
    """The position scores of all keys, from those of the sequence's, ``(1, heads, queries, length)``."""
    import torch
    from torch.nn.functional import pad

    count, positions = int(site.settings["count"]), site.settings["positions"]
    queries, length = own.shape[-2:]
    first, last = {"none": (0, 0), "before": (-count, 0), "shifted": (0, count + length)}[positions]
    found = None
    if last > first:
        query = torch.arange(length - queries, length, device=own.device)  # earlier keys come from the cache
        key = torch.arange(first, last, device=own.device)
        found = family_of(host.shape).position_scores(host.model, site.module, query, key)
    if found is None:
        return pad(own, (count, 0))
    return torch.cat([found, own], dim=-1) if positions == "before" else found
