"""All parametrisations by name. To add one, write a file beside this one and add a line here (docs/mechanism.md)."""

from __future__ import annotations

from petscale.tuning.named import Register
from petscale.tuning.parametrisations.generated import Generated
from petscale.tuning.parametrisations.kronecker import Kronecker, KroneckerLowRank
from petscale.tuning.parametrisations.low_rank import LowRank
from petscale.tuning.parametrisations.parametrisation import Parametrisation
from petscale.tuning.parametrisations.plain import Plain

PARAMETRISATIONS: Register[Parametrisation] = Register(
    "parametrisation", (Plain(), LowRank(), Kronecker(), KroneckerLowRank(), Generated())
)
