"""BERT-style encoders."""

from petscale.families.bert.family import BertFamily

BERT = BertFamily()
