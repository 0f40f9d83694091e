"""Records: sealed JSON documents whose keys and values are those of a Pydantic model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from petscale.artefacts.files import write_atomically
from petscale.artefacts.seal import sealed, unsealed
from petscale.errors import BadInput

Record = TypeVar("Record", bound=BaseModel)


def write_record(path: Path, record: BaseModel) -> None:
    """Write a record as canonical JSON (sorted keys), atomically."""
    document = sealed(record.model_dump(mode="json"))
    write_atomically(path, json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_record(path: Path, model: type[Record], what: str) -> Record:
    """Read and validate a record.

    Args:
        path: the file.
        model: its model.
        what: what the file should be, for the message, e.g. `result record`.

    Raises:
        BadInput: the file is unreadable, is not JSON, does not fit the model or was changed; the message names file and
            key.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not a readable {what} ({error})") from None
    try:
        return model.model_validate(unsealed(document, path) if isinstance(document, dict) else document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(document)"
        raise BadInput(f"{path}: key {key}: {first['msg']}") from None
