"""A study as data: its configuration, its cells with their digests and paths, and their costs; reads no files."""
