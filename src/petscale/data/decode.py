"""Loads the fast tokenizer of a backbone folder, and turns token ids back into text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from petscale.artefacts.kinds import foreign
from petscale.errors import BadInput

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Decode = Callable[[Sequence[int]], str]


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load the fast tokenizer of a backbone folder, with its padding and truncation switched off.

    Raises:
        BadInput: the folder has no fast tokenizer, or the file is damaged or of another version of the library.
    """
    import tokenizers

    path = folder / "tokenizer.json"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; a fast tokenizer is needed (`petscale fetch` makes one)") from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    if kind := foreign(data):
        raise BadInput(f"{path}: {kind}")
    try:
        tokenizer: Tokenizer = tokenizers.Tokenizer.from_str(data.decode("utf-8-sig"))
    except Exception as error:
        # The library raises plain exceptions; all of them mean that the file is damaged, or of another version.
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{path}: no tokenizer that tokenizers {tokenizers.__version__} can read ({first})") from None
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
