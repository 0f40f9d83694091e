"""Loads the fast tokenizer of a backbone folder, and turns token ids back into text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from petscale.errors import BadInput

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Decode = Callable[[Sequence[int]], str]


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load the fast tokenizer of a backbone folder, with its padding and truncation switched off.

    Raises:
        BadInput: the folder has no fast tokenizer.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise BadInput(f"{path}: no such file; a fast tokenizer is needed (`petscale fetch` makes one)")
    tokenizer: Tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def load_decoder(folder: Path) -> Decode:
    """Return a function from ids to text without special tokens, for scoring the text that a T5 model generates.

    Raises:
        BadInput: the folder has no fast tokenizer.
    """
    tokenizer = load_tokenizer(folder)
    return lambda ids: str(tokenizer.decode(list(ids), skip_special_tokens=True))
