"""The family of BERT-style encoders."""

from petscale.families.bert.family import Bert

__all__ = ["Bert"]
