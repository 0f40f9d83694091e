"""The study as data: configuration, cells, digests, paths, costs. No torch, no file access."""
