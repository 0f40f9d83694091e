"""Where things lie below `results/`. Every path of the project is made here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Paths as strings relative to the working directory, as Snakemake likes them."""

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
        """Lock, heartbeat, checkpoints and attempt logs: no declared output, so Snakemake never wipes it."""
        return self._join("state", cell)

    def transfer(self, cell: str, target: str) -> str:
        return self._join("transfer", cell, f"{target}.json")

    def log(self, rule: str, name: str) -> str:
        return self._join("logs", rule, f"{name}.log")

    def tracked(self, cell: str) -> str:
        """Receipt of a cell that the tracking store holds whole."""
        return self._join("tracking", "cells", f"{cell}.json")

    def study(self, study: str, *parts: str) -> str:
        return self._join(study, *parts)
