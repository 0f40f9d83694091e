"""How a site changes its module: one file an operation (docs/mechanism.md has the table).

Operations that insert something (`add-hidden`, `add-scores`, `concat`, `concat-input`, `plug`) are hooks; each module
here offers `attach(model, site, values)`, which returns the handles that remove it again. `values` gives a tensor of
the site, whole and in a wanted dtype, at the moment of the call: the installed delta reads its masters, the functional
executor the tensors it was given. `add` on a weight is no hook: see live.py and functional.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from petscale.tuning.operations import bottleneck, branch, hidden, scores, tokens
from petscale.tuning.operations.hooks import Handle, Values
from petscale.tuning.plan import Operation, Site

Attach = Callable[[nn.Module, Site, Values], list[Handle]]

INSERTIONS: Mapping[Operation, Attach] = {
    "add-hidden": hidden.attach,
    "add-scores": scores.attach,
    "concat": branch.attach,
    "concat-input": tokens.attach,
    "plug": bottleneck.attach,
}
