"""Rows of a data set at a pinned commit of the hub, from the cache that `petscale fetch` fills.

The files of the commit are read directly: no loading script is run, and exactly that commit is used, even offline.
(When the `datasets` library is asked for a revision while offline, it takes whatever copy it cached last. So it only
reads files here, and does not choose them.)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow

from petscale.artefacts.cache import cache_folder
from petscale.data.label_names import check_label_names
from petscale.data.rows import Rows
from petscale.errors import BadInput
from petscale.tasks import Task
from petscale.tasks.task import Hub

_FETCH = "run `petscale fetch STUDY` with network"
_PART = re.compile(r"-(\d+)-of-(\d+)\.")


def snapshot(hub: Hub, splits: tuple[str, ...], cache: Path | None) -> Path:
    """The cached folder of the pinned commit with the files of `splits`.

    Raises:
        BadInput: the files are not cached, or not all of their parts are.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    cache = cache or cache_folder() / "hub"
    patterns = [pattern for split in splits for pattern in hub.patterns(split)]
    try:
        found = snapshot_download(
            hub.id,
            repo_type="dataset",
            revision=hub.revision,
            cache_dir=cache,
            allow_patterns=patterns,
            local_files_only=True,
        )
    except LocalEntryNotFoundError:
        raise BadInput(f"{_place(hub)}: not, or not whole, in {cache}; {_FETCH}") from None
    for pattern in patterns:
        names = sorted(path.name for path in Path(found).glob(pattern))
        if not names:
            raise BadInput(f"{_place(hub)}: no file {pattern} in {cache}; {_FETCH}")
        if not _is_whole(names):
            raise BadInput(
                f"{_place(hub)}: parts of {pattern} are missing in {cache} (there are: {', '.join(names)}); {_FETCH}"
            )
    return Path(found)


def _is_whole(names: list[str]) -> bool:
    """Whether files named `...-00000-of-00003...` are complete; other names do not give a number of parts."""
    parts = [(int(found[1]), int(found[2])) for name in names if (found := _PART.search(name))]
    return not parts or sorted(parts) == [(part, len(names)) for part in range(len(names))]


def _place(hub: Hub, split: str = "") -> str:
    return " ".join(filter(None, (f"hub {hub.id}@{hub.revision[:8]}", hub.config, split)))


def _text_columns(folder: Path, hub: Hub, split: str) -> dict[str, list[str]]:
    """Read Multi-News's layout: one file per column, one row per line, line breaks written as text."""
    columns = {}
    for column, pattern in zip(hub.text_files, hub.patterns(split), strict=True):
        path = folder / pattern
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (UnicodeDecodeError, OSError) as error:
            raise BadInput(f"{path}: cannot be read ({error}); {_FETCH}") from None
        lines = lines[:-1] if lines[-1] == "" else lines
        columns[column] = [line.strip().replace("NEWLINE_CHAR", "\n") for line in lines]
    if len({len(values) for values in columns.values()}) > 1:
        raise BadInput(f"{_place(hub, split)}: its files differ in their number of lines")
    return columns


def _table(path: Path) -> Any:
    """A parquet or csv file as a `datasets.Dataset`."""
    import datasets

    reader = datasets.Dataset.from_csv if path.suffix == ".csv" else datasets.Dataset.from_parquet
    try:
        return reader([str(path)], keep_in_memory=True)
    except (datasets.exceptions.DatasetGenerationError, pyarrow.ArrowException, OSError) as error:
        lines = str(error.__cause__ or error).splitlines()
        raise BadInput(f"{path}: cannot be read ({lines[0]}); {_FETCH}") from None


def read_split(task: Task, hub: Hub, split: str, folder: Path) -> Rows:
    """All rows of one split.

    Raises:
        BadInput: a file is damaged, the number of rows is not the published one, or the published names of the labels
            are in another order than the task's.
    """
    import datasets

    if hub.text_files:
        table = datasets.Dataset.from_dict(_text_columns(folder, hub, split))
    else:
        (pattern,) = hub.patterns(split)
        table = datasets.concatenate_datasets([_table(path) for path in sorted(folder.glob(pattern))])
    place = _place(hub, split)
    published = hub.published(split)
    if len(table) not in published:
        numbers = " or ".join(f"{count:,}" for count in published)
        raise BadInput(f"{place}: {len(table):,} rows, not the {numbers} published; {_FETCH}")
    check_label_names(task, getattr(table.features.get(task.label_column or ""), "names", None), place)
    rows = table.select_columns([name for name in task.columns if name in table.column_names]).to_list()
    return Rows(place, rows, list(range(1, len(rows) + 1)))
