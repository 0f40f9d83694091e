"""The list of families. To add one, write a folder beside this file and add it to the list (docs/add-a-family.md).

This file must contain nothing else: it does not belong to the code of any stage, so a new family makes no finished cell
stale.
"""

from __future__ import annotations

from petscale.families.bert import BERT
from petscale.families.family import Family
from petscale.families.t5 import T5

ALL: tuple[Family, ...] = (T5, BERT)
