"""From prepared splits to token arrays, once for a task, a tokenizer and a label scheme.

One safetensors file a split and last the manifest `tokens.json`. Training reads nothing else, so the texts
that scoring needs (ids, references) are packed here too.
"""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Encoding, Tokenizer

from petscale.artefacts.files import file_digest, write_atomically
from petscale.artefacts.ragged import Ragged
from petscale.artefacts.seal import sealed, unsealed
from petscale.data.decode import load_tokenizer
from petscale.data.prepare import MANIFEST as DATA_MANIFEST
from petscale.data.tokens import FORMAT, MANIFEST, Family
from petscale.errors import BadInput
from petscale.tasks import LabelScheme, Task

_CLOSING = {"t5": "</s>", "bert": "[SEP]"}
SLICE = 1000
"""Texts encoded at once: an encoding holds dozens of bytes a token until it is cut, and articles are long."""
_PADDING = {"t5": "<pad>", "bert": "[PAD]"}


Spans = Callable[[int], list[tuple[int, int]]]
"""Where the two texts of row i stand in its source, in characters."""


def _spans(task: Task, columns: dict[str, list[Any]]) -> Spans | None:
    """How to find the two texts in a source; None where the source is not made of two prepared texts."""
    prepared = {task.text_a: columns["text_a"], task.text_b: columns["text_b"]}
    parts = [
        (literal, f"{{{field}}}" if field else None) for literal, field, _, _ in string.Formatter().parse(task.template)
    ]
    fields = [field for _, field in parts if field]
    if len(fields) != 2 or not set(fields) <= set(prepared):
        return None

    def find(row: int) -> list[tuple[int, int]]:
        place, spans = 0, []
        for literal, field in parts:
            place += len(literal)
            if field:
                spans.append((place, place + len(prepared[field][row])))
                place = spans[-1][1]
        return spans

    return find


def _bare(ids: Sequence[int], end: int) -> list[int]:
    """Ids without an end of sequence, whether or not the tokenizer appends one.

    The released code of Su et al. writes `</s>` into the target and tokenises it again, which doubles it
    (facts 1.5).
    """
    bare = list(ids)
    while bare and bare[-1] == end:
        bare.pop()
    return bare


def _cut_pair(item: Encoding, ids: list[int], spans: list[tuple[int, int]], room: int) -> list[int]:
    """`ids`, the bare ones of `item`, cut to `room` at the end of the longer text, so that neither text is lost."""
    first, second = (
        [place for place in range(len(ids)) if low <= item.offsets[place][0] < item.offsets[place][1] <= high]
        for low, high in spans
    )
    kept = max(0, len(first) + len(second) - (len(ids) - room))
    # The shorter text stays whole if it fits into half of what is left, as with BERT's pairs.
    of_first = min(len(first), max(kept - len(second), kept - kept // 2))
    dropped = {*first[of_first:], *second[kept - of_first :]}
    return [token for place, token in enumerate(ids) if place not in dropped][:room]


def _t5_sequences(
    tokenizer: Tokenizer, texts: Sequence[str], end: int, length: int | None, spans: Spans | None = None
) -> tuple[list[list[int]], int]:
    """Ids with one end of sequence, at most `length` in all, and how many texts were cut for it."""
    sequences: list[list[int]] = []
    cut = 0
    for start in range(0, len(texts), SLICE):
        items = tokenizer.encode_batch_fast(list(texts[start : start + SLICE]))
        for row, item in enumerate(items, start):
            ids = _bare(item.ids, end)
            if length is not None and len(ids) >= length:
                cut += 1
                # Offsets cost time, and batches are encoded without them.
                whole = tokenizer.encode(texts[row]) if spans else item
                ids = _cut_pair(whole, ids, spans(row), length - 1) if spans else ids[: length - 1]
            sequences.append([*ids, end])
    return sequences, cut


def _bert_arrays(
    tokenizer: Tokenizer, task: Task, columns: dict[str, list[Any]], end: int
) -> tuple[dict[str, Any], int]:
    """Segments [CLS] a [SEP] (b [SEP]), and how many were cut; a pair that is too long is cut at its longer text."""
    pairs = columns["text_a"]
    if task.text_b is not None:
        pairs = list(zip(columns["text_a"], columns["text_b"], strict=True))
    tokenizer.enable_truncation(task.bert_length, strategy="longest_first")
    items = tokenizer.encode_batch_fast(pairs)
    if any(item.ids[-1] != end for item in items):
        raise BadInput(f"task {task.name}: the tokenizer does not close sequences with [SEP]")
    arrays = {
        "source": Ragged.of([item.ids for item in items], np.uint16),
        "first": np.array([item.type_ids.count(0) for item in items], np.int32),
    }
    return arrays, sum(bool(item.overflowing) for item in items)


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
    and the class index. What is too long is cut, and the manifest counts how many sources and targets were.

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
    label_tokens = _t5_sequences(tokenizer, words, end, None)[0] if family == "t5" else []
    classes = np.array([*task.classes(labels), -1], np.int64)  # label -1 stays -1

    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / MANIFEST).unlink(missing_ok=True)
    digests = {}
    cut: dict[str, dict[str, int]] = {}
    for split, expected in manifest["sha256"].items():
        path = prepared_dir / f"{split}.parquet"
        if not path.is_file() or file_digest(path) != expected:
            raise BadInput(f"{path}: missing, or not as its manifest says (sha256)")
        columns = pyarrow.parquet.read_table(path).to_pydict()
        arrays = _references(columns)
        if family == "bert":
            segments, cut_sources = _bert_arrays(tokenizer, task, columns, end)
            cut[split] = {"source": cut_sources}
            arrays |= segments
            arrays["label"] = classes[columns["label"]]
        else:
            targets = columns["target" if labels == "words" else "target_unified"]
            spans = _spans(task, columns)
            sources, cut_sources = _t5_sequences(tokenizer, columns["source"], end, task.source_length, spans)
            limit = None if task.has_labels else task.target_length  # a cut label would be another label
            arrays["source"] = Ragged.of(sources, np.uint16)
            written, cut_targets = _t5_sequences(tokenizer, targets, end, limit)
            arrays["target"] = Ragged.of(written, np.uint16)
            cut[split] = {"source": cut_sources, "target": cut_targets}
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
        "cut": cut,
        "pad": pad,
        "end": end,
        "data": file_digest(prepared_dir / DATA_MANIFEST),
        "tokenizer": file_digest(place),
        "sha256": digests,
    }
    write_atomically(out_dir / MANIFEST, json.dumps(sealed(document), indent=1, sort_keys=True) + "\n")
