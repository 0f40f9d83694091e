"""The list of methods, in the order in which they are shown. To add a method, write a file here and add it to the list.

This file must contain nothing else: it does not belong to the code of any stage, so a new method makes no finished cell
stale.
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
