"""T5, v1.0 and v1.1."""

from petscale.families.t5.family import T5Family

T5 = T5Family()
