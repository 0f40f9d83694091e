"""Families of backbones, such as T5 and BERT: one folder for each, with the common interface `Family`."""
