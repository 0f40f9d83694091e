"""The fast tokenizer of a backbone folder, which may have only the vocabulary of a slow one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from petscale.backbones.reading import read_object
from petscale.data.decode import load_tokenizer
from petscale.errors import BadInput

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER = "tokenizer.json"


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of `tokenizer.json`, or one that is made from `spiece.model` or `vocab.txt`.

    Raises:
        BadInput: the folder has none of the three files, or the file cannot be read.
    """
    if (folder / TOKENIZER).is_file():
        return load_tokenizer(folder)
    vocabulary = next((path for name in ("spiece.model", "vocab.txt") if (path := folder / name).is_file()), None)
    if vocabulary is None:
        raise BadInput(f"{folder}: no tokenizer (tokenizer.json, spiece.model or vocab.txt)")
    from transformers import BertTokenizer, T5Tokenizer

    settings = {}
    if vocabulary.name == "vocab.txt" and not _says_its_case(folder):
        # transformers would make every text lower-case, and a cased vocabulary has few words without capitals.
        words = vocabulary.read_text(encoding="utf-8", errors="replace").split()
        settings["do_lower_case"] = not any(word.isalpha() and not word.islower() and word.isascii() for word in words)
    try:
        slow = T5Tokenizer if vocabulary.name == "spiece.model" else BertTokenizer
        made: Tokenizer = slow.from_pretrained(folder, local_files_only=True, **settings).backend_tokenizer
    except Exception as error:
        # Damaged files raise whatever the libraries below meet first.
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{vocabulary}: no vocabulary that can be read ({first})") from None
    return made


def _says_its_case(folder: Path) -> bool:
    path = folder / "tokenizer_config.json"
    return path.is_file() and "do_lower_case" in read_object(path)
