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
from petscale.tuning.methods.compacter import COMPACTER
from petscale.tuning.methods.compacter_plus import COMPACTER_PLUS
from petscale.tuning.methods.full import FROZEN, FULL
from petscale.tuning.methods.houlsby import HOULSBY
from petscale.tuning.methods.ia3 import IA3
from petscale.tuning.methods.krona import KRONA
from petscale.tuning.methods.ln_tuning import LN_TUNING
from petscale.tuning.methods.lokr import LOKR
from petscale.tuning.methods.lora import LORA
from petscale.tuning.methods.lora_all import LORA_ALL
from petscale.tuning.methods.lora_qv import LORA_QV
from petscale.tuning.methods.mam import MAM
from petscale.tuning.methods.parallel_adapter import PARALLEL_ADAPTER
from petscale.tuning.methods.pfeiffer import PFEIFFER
from petscale.tuning.methods.phm import PHM
from petscale.tuning.methods.prefix import PREFIX
from petscale.tuning.methods.prefix_flat import PREFIX_FLAT
from petscale.tuning.methods.prompt import PROMPT, PROMPT_50
from petscale.tuning.methods.unipelt import UNIPELT

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
    LN_TUNING,
    LORA_QV,
    LORA_ALL,
    KRONA,
    LOKR,
    IA3,
    HOULSBY,
    PFEIFFER,
    PARALLEL_ADAPTER,
    COMPACTER,
    COMPACTER_PLUS,
    PHM,
    PREFIX_FLAT,
    PREFIX,
    MAM,
    UNIPELT,
)
