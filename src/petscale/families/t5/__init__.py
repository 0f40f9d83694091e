"""The family of T5 models, v1.0 and v1.1."""

from petscale.families.t5.family import T5

__all__ = ["T5"]
