"""Counts, plans and manifests read the same shape from a backbone folder, with one weights file or with shards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from petscale.backbones.folder import copy_folder, folder_digest, read_manifest
from petscale.backbones.reading import INDEX, WEIGHTS, read_shape, weight_files
from petscale.cli.main import main
from petscale.errors import BadInput
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import parse_study

from .folders import t5_state, write_folder

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def shard(folder: Path) -> Path:
    """Split the weights of a folder into two files and an index, as `save_pretrained` does for large ones."""
    state = load_file(folder / WEIGHTS)
    names = sorted(state)
    parts = dict(zip(SHARDS, (names[::2], names[1::2]), strict=True))
    for file, part in parts.items():
        save_file({name: state[name] for name in part}, folder / file)
    index = {"metadata": {}, "weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / INDEX).write_text(json.dumps(index))
    (folder / WEIGHTS).unlink()
    return folder


@pytest.mark.parametrize("tied", [True, False])
def test_shards_show_the_shape_that_one_file_shows(tmp_path: Path, tied: bool) -> None:
    """Only the names of the tensors show tying, and `lm_head.weight` may be in any shard."""
    folder = write_folder(tmp_path / "t5", *t5_state(tied=tied))
    whole = read_shape(folder)
    assert whole.tied is tied
    assert read_shape(shard(folder)) == whole
    assert [path.name for path in weight_files(folder)] == list(SHARDS)
    assert read_shape(folder, weights=False) == whole


def test_a_sharded_local_backbone_is_planned_counted_and_copied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Planning once read only `model.safetensors`, so such a folder could be counted and copied but not planned."""
    folder = shard(write_folder(tmp_path / "t5", *t5_state(tied=False)))
    study = {
        "name": "own",
        "ladders": [{"name": "own", "backbones": ["mine"]}],
        "folders": {"mine": str(folder)},
        "tasks": ["mini-sentiment"],
        "experiments": {"methods": {"methods": ["lora"]}},
    }
    planned = next(iter(open_grid(parse_study(study, "study.yaml")).cells.values()))
    copy_folder(folder, tmp_path / "copy", "mine", {"kind": "local"})
    assert read_manifest(tmp_path / "copy")["shape"] == planned.backbone.shape.to_json()
    assert folder_digest(tmp_path / "copy") == folder_digest(folder)
    assert main(["count", str(folder), "frozen", "--json"]) == 0
    sizes = [tensor.numel() for file in SHARDS for tensor in load_file(folder / file).values()]
    assert json.loads(capsys.readouterr().out)["total"] == sum(sizes)


def _spoil(file: str, content: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / file).write_text(content)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda folder: (folder / SHARDS[1]).unlink(), rf"{INDEX}: names {SHARDS[1]}, which is not there"),
        (_spoil(SHARDS[0], "short"), rf"{SHARDS[0]}: not a safetensors file"),
        (_spoil(INDEX, "{"), rf"{INDEX}: not readable JSON"),
        (_spoil(INDEX, "{}"), rf"{INDEX}: key weight_map: expected an object"),
        (_spoil(INDEX, '{"weight_map": {}}'), rf"{INDEX}: key weight_map: expected an object"),
        (_spoil(INDEX, '{"weight_map": ["a"]}'), rf"{INDEX}: key weight_map: expected an object"),
        (_spoil(INDEX, '{"weight_map": {"a": 1}}'), rf"{INDEX}: key weight_map: expected an object"),
        (lambda folder: (folder / INDEX).unlink(), rf"no {WEIGHTS} and no {INDEX}"),
        (lambda folder: (folder / "config.json").unlink(), r"config\.json: No such file"),
        (_spoil("config.json", '{"model_type": "gpt9"}'), r"config\.json: config key model_type: 'gpt9'"),
    ],
)
def test_each_fault_is_one_line_with_the_file(tmp_path: Path, spoil: Callable[[Path], Any], message: str) -> None:
    folder = shard(write_folder(tmp_path / "t5", *t5_state(tied=False)))
    spoil(folder)
    with pytest.raises(BadInput, match=message) as caught:
        read_shape(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_count_needs_the_config_alone(tmp_path: Path) -> None:
    """A shape can be counted before the weights are there; planning and copying need them."""
    folder = write_folder(tmp_path / "t5", *t5_state(tied=False))
    whole = read_shape(folder)
    (folder / WEIGHTS).unlink()
    assert read_shape(folder, weights=False) == whole
    with pytest.raises(BadInput, match="weights are read from safetensors alone"):
        read_shape(folder)
