"""Backbones (pre-trained models): the catalogue of their shapes, checked copies of their folders, and loading."""
