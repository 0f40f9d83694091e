"""Makes the prepared splits of a task from checked rows: train, dev and test, each as a parquet file.

Dev is held out from train, unless the source has dev rows of its own, as the mini tasks do. Rows with the same input
(ignoring case and spacing) form a group, the groups are ordered by a hash of (split seed, input), and dev takes groups
in that order until it is full. Therefore no input is in two splits, the choice does not depend on the order of the
rows, and adding rows to a file moves few rows to another split.
Subsamples follow the same order, so a smaller one is part of every larger one. Files keep the order of the source.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet

from petscale.artefacts.files import file_digest, write_atomically
from petscale.artefacts.seal import sealed
from petscale.data.checks import input_columns, input_key, tell_one_class
from petscale.data.rows import Row, Rows
from petscale.data.sources import Source, describe, read_rows
from petscale.errors import BadInput
from petscale.tasks import Task

MANIFEST = "data.json"
FORMAT = 1

SCHEMA = pyarrow.schema(
    [
        ("id", pyarrow.string()),
        ("text_a", pyarrow.string()),
        ("text_b", pyarrow.string()),
        ("source", pyarrow.string()),
        ("label", pyarrow.int32()),
        ("target", pyarrow.string()),
        ("target_unified", pyarrow.string()),
        ("references", pyarrow.list_(pyarrow.string())),
    ]
)
"""`source` is the complete T5 source; `label` is -1 if there is none; `target` is the text that T5 learns to write."""


def _hashed(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}\x1f{key}".encode()).digest()


def _groups(task: Task, rows: Rows, seed: int) -> list[list[int]]:
    """Row indices grouped by input, in the order of the seeded hash."""
    columns = input_columns(task)
    groups: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows.rows):
        groups[input_key(row, columns)].append(index)
    return [groups[key] for key in sorted(groups, key=lambda key: _hashed(seed, key))]


def _take(groups: list[list[int]], size: int) -> tuple[list[int], list[list[int]]]:
    """Take whole groups in order, as long as they fit, until there are `size` rows; also return the groups left."""
    taken: list[int] = []
    left: list[list[int]] = []
    for group in groups:
        if len(taken) + len(group) <= size:
            taken.extend(group)
        else:
            left.append(group)
    return taken, left


def _take_shots(task: Task, rows: Rows, groups: list[list[int]], shots: int) -> tuple[list[int], list[list[int]]]:
    """Take one row of each group in order, until each class has `shots` rows (or all together, without classes)."""
    wanted = dict.fromkeys(range(len(task.words("words")) or 1), shots)
    taken: list[int] = []
    left: list[list[int]] = []
    for group in groups:
        label = rows.rows[group[0]][task.label_column] if task.label_column else 0
        if wanted[label] > 0:
            wanted[label] -= 1
            taken.append(group[0])
        else:
            left.append(group)
    lacking = [name for name, number in wanted.items() if number > 0]
    if lacking:
        raise BadInput(f"{rows.origin}: too few rows of label {lacking[0]} for {shots} shots in train and in dev")
    return taken, left


def split_train(
    task: Task,
    rows: Rows,
    own_dev: Rows | None = None,
    *,
    dev_size: int,
    max_train: int | None,
    few_shot: int | None,
    seed: int,
) -> tuple[list[int], list[int]]:
    """Indices of the train and dev rows, each ascending; those of dev count in `own_dev` if it is given.

    Raises:
        BadInput: there are too few rows.
    """
    groups = _groups(task, rows, seed)
    dev_rows, dev_groups = (rows, groups) if own_dev is None else (own_dev, _groups(task, own_dev, seed))
    if few_shot is not None:
        dev, left = _take_shots(task, dev_rows, dev_groups, few_shot)
    else:
        if own_dev is None and dev_size >= len(rows):
            raise BadInput(f"{rows.origin}: {len(rows)} rows do not leave any to train on beside {dev_size} for dev")
        dev, left = _take(dev_groups, dev_size)
    train_groups = left if own_dev is None else groups
    if few_shot is not None:
        train, _ = _take_shots(task, rows, train_groups, few_shot)
    else:
        train, _ = _take(train_groups, sum(map(len, train_groups)) if max_train is None else max_train)
    if not train or not dev:
        raise BadInput(f"{rows.origin}: {len(rows)} rows give {len(train)} for train and {len(dev)} for dev")
    return sorted(train), sorted(dev)


def _example(task: Task, row: Row, name: str) -> Row:
    """One prepared row; see SCHEMA."""
    words, digits = task.words("words"), task.words("unified")
    if task.label_column:
        label = row[task.label_column]
        target, unified, references = words[label], digits[label], [words[label]]
    else:
        value = row[task.target_column or ""]
        references = value if isinstance(value, list) else [value]
        label, target, unified = -1, references[0], references[0]
    texts = {column: row[column] for column in input_columns(task)}
    return {
        "id": name,
        "text_a": task.text_a.format(**texts),
        "text_b": None if task.text_b is None else task.text_b.format(**texts),
        "source": task.template.format(**texts),
        "label": label,
        "target": target,
        "target_unified": unified,
        "references": references,
    }


def _write(task: Task, path: Path, rows: Rows, indices: Sequence[int], prefix: str) -> None:
    examples = [_example(task, rows.rows[index], f"{prefix}-{rows.numbers[index]}") for index in indices]
    table = pyarrow.Table.from_pylist(examples, schema=SCHEMA)
    pyarrow.parquet.write_table(table, path, compression="zstd")


def prepare(
    task: Task,
    source: Source,
    out_dir: Path,
    *,
    dev_size: int,
    max_train: int | None = None,
    max_test: int | None = None,
    few_shot: int | None = None,
    split_seed: int = 0,
) -> None:
    """Write `train`, `dev`, `test` (and further test sets) as parquet, and last the manifest `data.json`.

    The same rows and settings give the same bytes. `few_shot` replaces `dev_size` and `max_train`.

    Raises:
        BadInput: rows are wrong or too few; the message names file and row.
    """
    splits = read_rows(task, source)
    own_dev = splits.get("dev")
    train, dev = split_train(
        task, splits["train"], own_dev, dev_size=dev_size, max_train=max_train, few_shot=few_shot, seed=split_seed
    )
    chosen: dict[str, tuple[Rows, list[int], str]] = {
        "train": (splits["train"], train, "train"),
        "dev": (own_dev, dev, "dev") if own_dev else (splits["train"], dev, "train"),
    }
    for name in splits.keys() - {"train", "dev"}:
        rows = splits[name]
        size = len(rows) if max_test is None else max_test
        # Rows are drawn here, not groups: a test set is scored as published, with its repeated inputs.
        order = sorted(range(len(rows)), key=lambda index: _hashed(split_seed, f"{index}"))
        chosen[name] = (rows, sorted(order[:size]), name)

    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / MANIFEST).unlink(missing_ok=True)
    digests: dict[str, str] = {}
    for name in sorted(chosen):
        rows, indices, prefix = chosen[name]
        path = out_dir / f"{name}.parquet"
        _write(task, path, rows, indices, prefix)
        digests[name] = file_digest(path)
    told = {name: dict(rows.told) for name, rows in splits.items()}
    for name, (rows, indices, _) in chosen.items():
        labels = [rows.rows[index][task.label_column] for index in indices] if task.label_column else []
        tell_one_class(task, labels, told.setdefault(name, {}))
    told = {name: counts for name, counts in told.items() if counts}
    manifest = {
        "format": FORMAT,
        "task": task.name,
        "version": task.version,
        "source": describe(task, source),
        "settings": {
            "dev_size": dev_size,
            "max_train": max_train,
            "max_test": max_test,
            "few_shot": few_shot,
            "split_seed": split_seed,
        },
        "sizes": {name: len(indices) for name, (_, indices, _) in chosen.items()},
        "dropped": {name: rows.dropped for name, rows in splits.items()},
        "sha256": digests,
        **({"told": told} if told else {}),
    }
    write_atomically(out_dir / MANIFEST, json.dumps(sealed(manifest), indent=1, sort_keys=True) + "\n")
