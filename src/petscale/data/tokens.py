"""The token arrays that training and scoring read: they are mapped from disk and checked against their manifest.

This module imports little, because each of thousands of small cells starts by importing it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from petscale.artefacts.files import file_digest
from petscale.artefacts.ragged import Ragged
from petscale.artefacts.seal import unsealed
from petscale.errors import BadInput

MANIFEST = "tokens.json"
FORMAT = 1


@dataclass(frozen=True)
class Labels:
    """Label words of a scheme, and their T5 tokens with the end of sequence; empty for free text."""

    words: tuple[str, ...]
    tokens: tuple[tuple[int, ...], ...]


class Examples:
    """The examples of one split.

    Attributes:
        source: input ids with the end of sequence; one sequence per example.
        target: T5's target ids with the end of sequence; None for BERT.
        first: BERT's number of tokens in the first segment, (n,); None for T5.
        label: T5: label id; BERT: index of the head's output unit; -1 for free text. (n,)
        labels: the task's label words.
        target_length: largest number of tokens to generate, including the end of sequence.
        pad, end: token ids of padding and end of sequence.
    """

    def __init__(self, arrays: dict[str, NDArray[Any]], manifest: dict[str, Any]) -> None:
        self.source = Ragged(arrays["source"], arrays["source.offsets"])
        self.target = Ragged(arrays["target"], arrays["target.offsets"]) if "target" in arrays else None
        self.first: NDArray[np.int32] | None = arrays.get("first")
        self.label: NDArray[np.int64] = arrays["label"]
        self.labels = Labels(tuple(manifest["label_words"]), tuple(map(tuple, manifest["label_tokens"])))
        self.target_length: int = manifest["target_length"]
        self.pad: int = manifest["pad"]
        self.end: int = manifest["end"]
        self._id = Ragged(arrays["id"], arrays["id.offsets"])
        self._reference = Ragged(arrays["reference"], arrays["reference.offsets"])
        self._reference_start = np.concatenate([[0], np.cumsum(arrays["reference_count"])])

    def __len__(self) -> int:
        return len(self.source)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of input tokens of each example, (n,)."""
        return self.source.lengths

    @property
    def ids(self) -> list[str]:
        """Names of the examples: `<split in the source of the rows>-<row>`."""
        return [self._id.text(index) for index in range(len(self))]

    def references(self, index: int) -> list[str]:
        """The accepted texts of one example: answers, the summary, or the label word."""
        start, stop = self._reference_start[index : index + 2]
        return [self._reference.text(place) for place in range(start, stop)]


class TokenSet:
    """The splits of one task for one tokenizer and label scheme.

    The file of a split is checked and mapped when the split is first requested, and kept.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.family: str = manifest["family"]
        self.pad: int = manifest["pad"]
        self._read: dict[str, Examples] = {}

    @property
    def splits(self) -> Sequence[str]:
        """Names of the splits: train, dev, test and further test sets."""
        return sorted(self.manifest["sha256"])

    @property
    def extra(self) -> Sequence[str]:
        """Names of the further test sets."""
        return [name for name in self.splits if name not in ("train", "dev", "test")]

    def split(self, name: str) -> Examples:
        """The examples of one split.

        Raises:
            BadInput: there is no such split, or its file is not the one that the manifest describes.
        """
        if name not in self._read:
            self._read[name] = self._load(name)
        return self._read[name]

    def _load(self, name: str) -> Examples:
        path = self.folder / f"{name}.safetensors"
        expected = self.manifest["sha256"].get(name)
        if expected is None:
            raise BadInput(f"{self.folder / MANIFEST}: no split {name!r}; there are {', '.join(self.splits)}")
        try:
            found = file_digest(path)
        except OSError as error:
            raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
        if found != expected:
            raise BadInput(f"{path}: not the file that {MANIFEST} describes (sha256 {found[:12]})")
        return Examples(load_file(path), self.manifest)


def load_tokens(folder: Path) -> TokenSet:
    """Open the token set in a folder.

    Raises:
        BadInput: there is no manifest, it has another format, or it was changed since it was written.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not a readable manifest ({error})") from None
    if not isinstance(manifest, dict):
        raise BadInput(f"{path}: not a JSON object")
    manifest = unsealed(manifest, path)
    if manifest.get("format") != FORMAT:
        raise BadInput(f"{path}: key format: {manifest.get('format')!r}, not {FORMAT}")
    return TokenSet(folder, manifest)
