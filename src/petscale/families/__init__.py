"""Families of backbones: one folder each, behind one protocol; nothing outside compares a family's name."""
