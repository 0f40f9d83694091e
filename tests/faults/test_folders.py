"""A damaged backbone folder is refused in one line, or it is loaded and runs: no cell finds it out later."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.folders import bert_state, t5_state, write_folder
from petscale.backbones.load import load_model
from petscale.data.decode import load_tokenizer
from petscale.errors import BadInput
from petscale.fetching.materialise import materialise
from tally import Tally

from .mutations import mangled, mutated
from .test_fuzz import FUZZ, one_line

STATES = {"t5": lambda: t5_state(tied=False), "bert": bert_state}


def harmed(document: bytes, name: str) -> Any:
    """Bytes that are damaged or, for the config, JSON of which parts are something else."""
    damaged = mangled(document)
    if name != "config.json":
        return damaged
    return damaged | mutated(json.loads(document)).map(lambda value: json.dumps(value).encode())


def outcome(source: Path, out: Path, family: str) -> None:
    """Make the folder that cells read, and use it as a cell does."""
    try:
        materialise("bb", out, folder=source)
    except BadInput as error:
        refusal = error
    else:
        tokenizer = load_tokenizer(out)
        ids = torch.tensor([tokenizer.encode("w1 w2").ids])
        more: dict[str, Any] = {"num_labels": 2} if family == "bert" else {}
        with torch.no_grad():
            load_model(out, family, **more)(input_ids=ids, labels=ids[:, 0] % 2 if family == "bert" else ids)
        return
    one_line(refusal, str(source))
    assert "\n" not in str(refusal)


def draw(folder: Path, family: str, data: st.DataObject) -> tuple[str, bytes]:
    """A file of the good folder, and what it holds instead."""
    if not folder.exists():
        write_folder(folder, *STATES[family]())
    name = data.draw(st.sampled_from(("config.json", "tokenizer.json", "model.safetensors")))
    good = (folder / name).read_bytes()
    # A changed byte within a tensor is another tensor; only the header of the weights can be checked.
    kept = 4000 if name == "model.safetensors" else len(good)
    return name, data.draw(harmed(good[:kept], name)) + good[kept:]


def try_one(folder: Path, family: str, name: str, content: bytes) -> None:
    good = (folder / name).read_bytes()
    (folder / name).write_bytes(content)
    try:
        outcome(folder, folder.with_name("out"), family)
    finally:
        (folder / name).write_bytes(good)
        shutil.rmtree(folder.with_name("out"), ignore_errors=True)


@pytest.mark.parametrize("family", STATES)
@settings(max_examples=60, **FUZZ)
@given(data=st.data())
def test_damaged_folders(tmp_path: Path, family: str, data: Any) -> None:
    try_one(tmp_path / "source", family, *draw(tmp_path / "source", family, data))


@pytest.mark.slow
@pytest.mark.parametrize("family", STATES)
def test_many_damaged_folders(tmp_path: Path, tally: Callable[[str], Tally], family: str) -> None:
    fault = tally("a file of a backbone folder that is damaged")

    @settings(max_examples=500, **FUZZ)
    @given(data=st.data())
    def one(data: Any) -> None:
        name, content = draw(tmp_path / "source", family, data)
        with fault.trying():
            try_one(tmp_path / "source", family, name, content)

    one()
