"""Makes token arrays from prepared splits, once for each task, tokenizer and label scheme.

It writes one safetensors file for each split and last the manifest `tokens.json`. Training reads no other data, so the
texts that scoring needs (ids, references) are stored in these files too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray
from safetensors.numpy import save_file

from petscale.artefacts.files import file_digest, write_atomically
from petscale.artefacts.ragged import Ragged
from petscale.artefacts.seal import sealed, unsealed
from petscale.data.decode import load_tokenizer
from petscale.data.encoding import TextEncoder
from petscale.data.prepare import MANIFEST as DATA_MANIFEST
from petscale.data.special import open_up
from petscale.data.tokens import FORMAT, MANIFEST
from petscale.errors import BadInput
from petscale.tasks import LabelScheme, Task

SPECIAL = "text with a special token, which is read as plain text"


def _references(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """All references in one list, with the number that each example has."""
    references = columns["references"]
    return {
        "reference": Ragged.of_texts([text for texts in references for text in texts]),
        "reference_count": np.array([len(texts) for texts in references], np.int32),
        "id": Ragged.of_texts(columns["id"]),
    }


def _flat(arrays: dict[str, Any]) -> dict[str, NDArray[np.generic]]:
    """The tensors to store: a ragged array `x` becomes `x` and `x.offsets`."""
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
    family: TextEncoder,
    out_dir: Path,
    *,
    labels: LabelScheme,
) -> None:
    """Write `<split>.safetensors` for every prepared split, and last the manifest `tokens.json`.

    The family encodes the texts (`TextEncoder`). Texts that are too long are cut, and the manifest gives the number of
    sources and targets that were cut. Special tokens in a text are read as plain text (`petscale.data.special`), and
    the manifest hands on what the rows' manifest tells of them.

    Raises:
        BadInput: the prepared rows are of another task or have a wrong checksum, the tokenizer is missing or of another
            family, or the family cannot run the task.
    """
    if not family.takes(task):
        raise BadInput(f"task {task.name}: the {family.name} family runs classification alone")
    manifest = _read_manifest(prepared_dir, task)
    tokenizer = load_tokenizer(tokenizer_dir)
    place = tokenizer_dir / "tokenizer.json"
    end, pad = (tokenizer.token_to_id(token) for token in (family.end_token, family.pad_token))
    if end is None or pad is None:
        raise BadInput(f"{place}: no token {family.end_token} or {family.pad_token}; not a {family.name} tokenizer")
    if tokenizer.get_vocab_size() > np.iinfo(np.uint16).max:
        raise BadInput(f"{place}: {tokenizer.get_vocab_size()} tokens do not fit into 16 bits")
    label_tokens = family.label_tokens(tokenizer, task, labels, end)

    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / MANIFEST).unlink(missing_ok=True)
    digests = {}
    cut: dict[str, dict[str, int]] = {}
    told: dict[str, dict[str, int]] = {split: dict(counts) for split, counts in manifest.get("told", {}).items()}
    for split, expected in manifest["sha256"].items():
        path = prepared_dir / f"{split}.parquet"
        if not path.is_file() or file_digest(path) != expected:
            raise BadInput(f"{path}: missing, or not as its manifest says (sha256)")
        columns, opened = open_up(tokenizer, task, pyarrow.parquet.read_table(path).to_pydict())
        if opened:
            told.setdefault(split, {})[SPECIAL] = opened
        encoded = family.encode(tokenizer, task, labels, end, columns)
        cut[split] = encoded.cut
        save_file(_flat(_references(columns) | encoded.arrays), out_dir / f"{split}.safetensors")
        digests[split] = file_digest(out_dir / f"{split}.safetensors")
    document = {
        "format": FORMAT,
        "task": task.name,
        "version": task.version,
        "family": family.name,
        "labels": labels,
        "label_words": task.words(labels),
        "label_tokens": label_tokens,
        "source_length": family.source_length(task),
        "target_length": max(map(len, label_tokens), default=task.target_length),
        "cut": cut,
        "pad": pad,
        "end": end,
        "data": file_digest(prepared_dir / DATA_MANIFEST),
        "tokenizer": file_digest(place),
        "sha256": digests,
        **({"told": told} if told else {}),
    }
    write_atomically(out_dir / MANIFEST, json.dumps(sealed(document), indent=1, sort_keys=True) + "\n")
