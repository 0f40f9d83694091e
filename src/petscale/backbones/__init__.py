"""Backbones by name and as folders: the catalogue, checked copies, loading into memory."""
