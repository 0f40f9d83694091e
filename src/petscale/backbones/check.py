"""The check of a whole backbone folder, before anything is computed with it.

`petscale plan` checks the local folders of a study, and the rule `backbone` checks every folder that cells will read,
so that a folder that cannot be used gives one line once, and not a traceback in each cell. It loads no weights: names,
shapes and places of tensors are in the headers of their files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from petscale.backbones.reading import CONFIG, model_tensors, read_object, read_shape, weight_files
from petscale.backbones.tokenizer import TOKENIZER, read_tokenizer
from petscale.errors import BadInput
from petscale.families.family import Family
from petscale.families.registry import family_of
from petscale.families.shape import BackboneShape

_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
_TYPES = frozenset({"F64", "F32", "F16", "BF16"})  # in the words of safetensors
_SPARE_ROWS = 1024
"""Most rows of an embedding without a token: vocabularies are padded to a round number (T5 has 28 such rows)."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be loaded safely.

    Raises:
        BadInput: there is no such folder, or it has pickled weights, remote code, or no config or weights; the message
            names the file.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such backbone folder")
    for path in sorted(folder.iterdir()):
        if path.suffix in _PICKLES:
            raise BadInput(
                f"{path}: a pickle can run code when it is read; remove it (`petscale fetch` converts published ones)"
            )
        if path.suffix == ".py":
            raise BadInput(f"{path}: backbones that bring code of their own are refused")
    for name in (CONFIG, "tokenizer_config.json"):
        if (folder / name).is_file() and "auto_map" in read_object(folder / name):
            raise BadInput(f"{folder / name}: key auto_map: remote code is refused")
    if not (folder / CONFIG).is_file():
        raise BadInput(f"{folder}: no {CONFIG}")
    weight_files(folder)


def check_backbone(folder: Path) -> BackboneShape:
    """Check everything that can be known of a backbone folder without making a model, and return its shape.

    Checked are the files, the config, every tensor by name, shape and type, and the tokenizer against the family and
    the vocabulary matrix. Whether a task fits the backbone is checked when a study is planned (`Family.misfit`).

    Raises:
        BadInput: the folder cannot be used; the message names the file, and the key or the tensor.
    """
    check_folder(folder)
    shape = read_shape(folder)
    family = family_of(shape)
    _check_tensors(folder, family, shape)
    _check_tokenizer(folder, family, shape)
    return shape


def _check_tensors(folder: Path, family: Family, shape: BackboneShape) -> None:
    """Compare the stored tensors with those that a model of this shape has."""
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="numpy"):  # reads the header and compares sizes with places
                pass
        except SafetensorError as error:
            raise BadInput(f"{path}: not a readable safetensors file ({error})") from None
    expected = {weight.name: weight.shape for weight in family.weights(shape, None)}
    found = model_tensors(folder, family)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise BadInput(
                f"{folder}: tensor {name}: missing, the config asks for {expected[name]}; was the checkpoint saved from"
                " another kind of model?"
            )
        tensor = found[name]
        if name not in expected:
            raise BadInput(f"{tensor.file}: tensor {name}: {tensor.shape}, the config asks for none")
        if tensor.shape != expected[name]:
            raise BadInput(f"{tensor.file}: tensor {name}: {tensor.shape}, the config asks for {expected[name]}")
        if tensor.dtype not in _TYPES:
            raise BadInput(f"{tensor.file}: tensor {name}: of type {tensor.dtype}; quantised weights cannot be tuned")


def _check_tokenizer(folder: Path, family: Family, shape: BackboneShape) -> None:
    path = folder / TOKENIZER
    tokenizer = read_tokenizer(folder)
    try:
        family.check_tokenizer(tokenizer)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    tokens = tokenizer.get_vocab(with_added_tokens=True)
    highest = max(tokens, key=tokens.__getitem__)
    rows = tokens[highest] + 1
    if rows > shape.vocab:
        raise BadInput(
            f"{path}: token {highest!r} has id {rows - 1}, but the vocabulary matrix has {shape.vocab} rows; was it"
            " added without resizing the model, or is the tokenizer another model's?"
        )
    if rows < shape.vocab - _SPARE_ROWS:
        raise BadInput(
            f"{path}: {rows} tokens, but the vocabulary matrix has {shape.vocab} rows; the tokenizer is another model's"
        )
    said, pad = read_object(folder / CONFIG).get("pad_token_id"), tokens[family.pad_token]
    if isinstance(said, int) and said != pad:
        raise BadInput(
            f"{folder / CONFIG}: key pad_token_id: {said}, but the tokenizer gives {family.pad_token} the id {pad}"
        )
    _check_case(path, tokenizer, tokens)


def _check_case(path: Path, tokenizer: Any, tokens: dict[str, int]) -> None:
    """Refuse a tokenizer that makes texts lower-case before it looks them up in a vocabulary with capitals."""
    if tokenizer.normalizer is None or tokenizer.normalizer.normalize_str("A") != "a":
        return
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    capital = sorted(token for token in tokens.keys() - special if any("A" <= char <= "Z" for char in token))
    # Vocabularies reserve entries such as [unused7], and older ones list special tokens without marking them.
    capital = [token for token in capital if not token.startswith(("[", "<"))]
    if capital:
        raise BadInput(
            f"{path}: makes texts lower-case, but {len(capital)} tokens of its vocabulary have capitals, such as"
            f" {capital[0]!r}; a cased vocabulary needs `do_lower_case` false"
        )
