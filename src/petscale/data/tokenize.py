"""From prepared splits to token arrays, once for a task, a tokenizer and a label scheme.

One safetensors file a split and last the manifest `tokens.json`. Training reads nothing else, so the texts
that scoring needs (ids, references) are packed here too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from petscale.data.decode import load_tokenizer
from petscale.data.digest import file_digest
from petscale.data.prepare import MANIFEST as DATA_MANIFEST
from petscale.data.ragged import Ragged
from petscale.data.tokens import FORMAT, MANIFEST, Family
from petscale.errors import BadInput
from petscale.manifest import sealed, unsealed
from petscale.record import write_atomically
from petscale.tasks import LabelScheme, Task

_CLOSING = {"t5": "</s>", "bert": "[SEP]"}
SLICE = 1000
"""Texts encoded at once: an encoding holds dozens of bytes a token until it is cut, and articles are long."""
_PADDING = {"t5": "<pad>", "bert": "[PAD]"}


def _closed(ids: Sequence[int], end: int, length: int | None) -> list[int]:
    """Ids cut to `length`, with exactly one end of sequence, whether or not the tokenizer appends one.

    The released code of Su et al. writes `</s>` into the target and tokenises it again, which doubles it
    (facts 1.5).
    """
    bare = list(ids)
    while bare and bare[-1] == end:
        bare.pop()
    return [*bare[: None if length is None else length - 1], end]


def _t5_sequences(tokenizer: Tokenizer, texts: Sequence[str], end: int, length: int | None) -> list[list[int]]:
    slices = (list(texts[start : start + SLICE]) for start in range(0, len(texts), SLICE))
    return [_closed(item.ids, end, length) for some in slices for item in tokenizer.encode_batch_fast(some)]


def _bert_arrays(tokenizer: Tokenizer, task: Task, columns: dict[str, list[Any]], end: int) -> dict[str, Any]:
    """Segments [CLS] a [SEP] (b [SEP]); a pair that is too long is cut at its longer text."""
    pairs = columns["text_a"]
    if task.text_b is not None:
        pairs = list(zip(columns["text_a"], columns["text_b"], strict=True))
    tokenizer.enable_truncation(task.bert_length, strategy="longest_first")
    items = tokenizer.encode_batch_fast(pairs)
    if any(item.ids[-1] != end for item in items):
        raise BadInput(f"task {task.name}: the tokenizer does not close sequences with [SEP]")
    return {
        "source": Ragged.of([item.ids for item in items], np.uint16),
        "first": np.array([item.type_ids.count(0) for item in items], np.int32),
    }


def _references(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """References flattened, with how many each example has."""
    references = columns["references"]
    return {
        "reference": Ragged.of_texts([text for texts in references for text in texts]),
        "reference_count": np.array([len(texts) for texts in references], np.int32),
        "id": Ragged.of_texts(columns["id"]),
    }


def _flat(arrays: dict[str, Any]) -> dict[str, NDArray[np.generic]]:
    """Tensors of a file: a ragged array `x` becomes `x` and `x.offsets`."""
    tensors: dict[str, NDArray[np.generic]] = {}
    for name, array in arrays.items():
        tensors[name] = array.values if isinstance(array, Ragged) else array
        if isinstance(array, Ragged):
            tensors[f"{name}.offsets"] = array.offsets
    return tensors


def _read_manifest(prepared_dir: Path, task: Task) -> dict[str, Any]:
    path = prepared_dir / DATA_MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not a readable manifest ({error})") from None
    manifest = unsealed(manifest, path)
    if (manifest["task"], manifest["version"]) != (task.name, task.version):
        raise BadInput(
            f"{path}: holds {manifest['task']} version {manifest['version']}, not {task.name} version {task.version}"
        )
    return manifest


def tokenize(
    prepared_dir: Path,
    task: Task,
    tokenizer_dir: Path,
    family: Family,
    out_dir: Path,
    *,
    labels: LabelScheme,
) -> None:
    """Write `<split>.safetensors` for every prepared split, and last the manifest `tokens.json`.

    T5 gets the templated source and the target, each closed by one end of sequence; BERT gets its segments
    and the class index.

    Raises:
        BadInput: prepared rows of another task or with a wrong checksum, no fast tokenizer, or BERT for free
        text.
    """
    if family == "bert" and not task.has_labels:
        raise BadInput(f"task {task.name}: the bert family runs classification alone")
    manifest = _read_manifest(prepared_dir, task)
    tokenizer = load_tokenizer(tokenizer_dir)
    place = tokenizer_dir / "tokenizer.json"
    end, pad = (tokenizer.token_to_id(token[family]) for token in (_CLOSING, _PADDING))
    if end is None or pad is None:
        raise BadInput(f"{place}: no token {_CLOSING[family]} or {_PADDING[family]}; not a {family} tokenizer")
    if tokenizer.get_vocab_size() > np.iinfo(np.uint16).max:
        raise BadInput(f"{place}: {tokenizer.get_vocab_size()} tokens do not fit into 16 bits")

    words = task.words(labels)
    label_tokens = _t5_sequences(tokenizer, words, end, None) if family == "t5" else []
    classes = np.array([*task.classes(labels), -1], np.int64)  # label -1 stays -1

    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / MANIFEST).unlink(missing_ok=True)
    digests = {}
    for split, expected in manifest["sha256"].items():
        path = prepared_dir / f"{split}.parquet"
        if not path.is_file() or file_digest(path) != expected:
            raise BadInput(f"{path}: missing, or not as its manifest says (sha256)")
        columns = pyarrow.parquet.read_table(path).to_pydict()
        arrays = _references(columns)
        if family == "bert":
            arrays |= _bert_arrays(tokenizer, task, columns, end)
            arrays["label"] = classes[columns["label"]]
        else:
            targets = columns["target" if labels == "words" else "target_unified"]
            sources = _t5_sequences(tokenizer, columns["source"], end, task.source_length)
            limit = None if task.has_labels else task.target_length  # a cut label would be another label
            arrays["source"] = Ragged.of(sources, np.uint16)
            arrays["target"] = Ragged.of(_t5_sequences(tokenizer, targets, end, limit), np.uint16)
            arrays["label"] = np.array(columns["label"], np.int64)
        save_file(_flat(arrays), out_dir / f"{split}.safetensors")
        digests[split] = file_digest(out_dir / f"{split}.safetensors")
    document = {
        "format": FORMAT,
        "task": task.name,
        "version": task.version,
        "family": family,
        "labels": labels,
        "label_words": words,
        "label_tokens": label_tokens,
        "source_length": task.bert_length if family == "bert" else task.source_length,
        "target_length": max(map(len, label_tokens), default=task.target_length),
        "pad": pad,
        "end": end,
        "data": file_digest(prepared_dir / DATA_MANIFEST),
        "tokenizer": file_digest(place),
        "sha256": digests,
    }
    write_atomically(out_dir / MANIFEST, json.dumps(sealed(document), indent=1, sort_keys=True) + "\n")
