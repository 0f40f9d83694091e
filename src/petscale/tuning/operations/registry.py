"""All operations by name. To add one, write a file beside this one and add a line here (docs/mechanism.md)."""

from __future__ import annotations

from petscale.tuning.named import Register
from petscale.tuning.operations.add import Add
from petscale.tuning.operations.add_hidden import AddHidden
from petscale.tuning.operations.add_scores import AddScores
from petscale.tuning.operations.concat import Concat
from petscale.tuning.operations.concat_input import ConcatInput
from petscale.tuning.operations.concat_keys import ConcatKeys
from petscale.tuning.operations.operation import Operation
from petscale.tuning.operations.plug import Plug
from petscale.tuning.operations.scale import Scale
from petscale.tuning.site import Site

OPERATIONS: Register[Operation] = Register(
    "operation", (Add(), AddHidden(), AddScores(), Concat(), ConcatInput(), ConcatKeys(), Plug(), Scale())
)


def operation_of(site: Site) -> Operation:
    """The operation of a site.

    Raises:
        BadInput: the site names an unknown operation.
    """
    return OPERATIONS[site.operation]
