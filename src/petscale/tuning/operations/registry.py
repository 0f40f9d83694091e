"""Every operation by name. Adding one is a file beside this one and a line here (docs/mechanism.md)."""

from __future__ import annotations

from petscale.tuning.named import Register
from petscale.tuning.operations.add import Add
from petscale.tuning.operations.add_hidden import AddHidden
from petscale.tuning.operations.add_scores import AddScores
from petscale.tuning.operations.concat import Concat
from petscale.tuning.operations.concat_input import ConcatInput
from petscale.tuning.operations.operation import Operation
from petscale.tuning.operations.plug import Plug
from petscale.tuning.site import Site

OPERATIONS: Register[Operation] = Register(
    "operation", (Add(), AddHidden(), AddScores(), Concat(), ConcatInput(), Plug())
)


def operation_of(site: Site) -> Operation:
    """What a site does.

    Raises:
        BadInput: the site names an operation that does not exist here.
    """
    return OPERATIONS[site.operation]
