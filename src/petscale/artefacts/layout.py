"""The layout of the folder `results/`: every path in it is made here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Paths as strings relative to the working directory, the form that Snakemake uses."""

    root: str = "results"

    def _join(self, *parts: str) -> str:
        return "/".join((self.root, *parts))

    def data(self, data: str) -> str:
        """Manifest of prepared rows, written last."""
        return self._join("data", data, "data.json")

    def tokens(self, tokenizer: str, tokens: str) -> str:
        """Manifest of tokenised rows, written last."""
        return self._join("tokens", tokenizer, tokens, "tokens.json")

    def backbone(self, backbone: str) -> str:
        """Manifest of a backbone folder, written last."""
        return self._join("backbones", backbone, "backbone.json")

    def result(self, cell: str) -> str:
        return self._join("cells", cell, "result.json")

    def state(self, cell: str) -> str:
        """Folder of lock, checkpoints and attempt logs; no rule declares it, so Snakemake never deletes it."""
        return self._join("state", cell)

    def transfer(self, cell: str, target: str) -> str:
        return self._join("transfer", cell, f"{target}.json")

    def log(self, rule: str, name: str) -> str:
        return self._join("logs", rule, f"{name}.log")

    def tracked(self, cell: str) -> str:
        """Receipt of a cell that was sent completely to the tracking store."""
        return self._join("tracking", "cells", f"{cell}.json")

    def study(self, study: str, *parts: str) -> str:
        return self._join(study, *parts)
