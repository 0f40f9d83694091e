"""Families of backbones (T5, BERT): each has a folder and implements `Family`, which other code uses without names."""
