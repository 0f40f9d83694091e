"""The list of methods, in the order in which they are shown. A new method is a file beside this one and a line here.

Nothing but the list: this file belongs to no stage's code, so that a new method makes no finished cell stale.
"""

from __future__ import annotations

from typing import Any

from petscale.tuning.method import Method
from petscale.tuning.methods.adapter import ADAPTER
from petscale.tuning.methods.apet import APET_ADJACENT, APET_DISCRETE
from petscale.tuning.methods.bitfit import BITFIT, BITFIT_ALL, BITFIT_T5_XXL
from petscale.tuning.methods.full import FROZEN, FULL
from petscale.tuning.methods.lora import LORA
from petscale.tuning.methods.prompt import PROMPT, PROMPT_50

ALL: tuple[Method[Any], ...] = (
    FULL,
    FROZEN,
    PROMPT,
    PROMPT_50,
    BITFIT,
    BITFIT_T5_XXL,
    BITFIT_ALL,
    LORA,
    ADAPTER,
    APET_ADJACENT,
    APET_DISCRETE,
)
