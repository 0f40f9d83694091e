"""Bad study files give an error of one line with file and key, before anything else happens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from petscale.cli.main import main
from petscale.errors import BadInput
from petscale.study.config import Study
from petscale.study.defaults import DEFAULT_STUDY, generated_files
from petscale.study.schema import schema_text
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import load_study, parse_study

SMALL: dict[str, Any] = {
    "name": "small",
    "ladders": [{"name": "mini-t5", "backbones": ["mini-t5-small"]}],
    "tasks": ["mini-sentiment"],
    "data": {"source": "mini"},
    "seeds": [1],
    "recipe": {"steps": 4, "evaluate_every": 2},
    "experiments": {"methods": {"methods": ["full", "lora"]}},
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**SMALL, **changes}


BAD = {
    "a typo at the top": (changed(sedes=[1]), "key sedes", "did you mean 'seeds'"),
    "a typo in a section": (changed(recipe={"lrr": 1}), "key recipe.lrr", "no such key"),
    "a typo in an experiment": (
        changed(experiments={"methods": {"method": ["lora"]}}),
        "key experiments.methods.method",
        "did you mean 'methods'",
    ),
    "a wrong type": (changed(recipe={"steps": "many"}), "key recipe.steps", "integer"),
    "a negative rate": (changed(recipe={"learning_rate": -1.0}), "key recipe.learning_rate", "greater than 0"),
    "an unknown task": (changed(tasks=["mini-sentimnt"]), "mini-sentimnt", "mini-sentiment"),
    "an unknown method": (changed(experiments={"methods": {"methods": ["lorra"]}}), "lorra", "lora"),
    "an unknown backbone": (
        changed(ladders=[{"name": "x", "backbones": ["mini-t5-smal"]}]),
        "mini-t5-smal",
        "mini-t5-small",
    ),
    "a task that stands twice": (changed(tasks=["mini-qa", "mini-qa"]), "tasks", "twice"),
    "a name with a path in it": (changed(name="../x"), "key name", "no plain name"),
    "a reserved name": (changed(name="cells"), "key name", "share"),
    "a task outside the study": (
        changed(experiments={"methods": {"tasks": ["mini-qa"]}}),
        "experiments.methods.tasks",
        "not in the study",
    ),
    "local rows without a folder": (changed(data={"source": "local"}), "key data", "folder"),
    "a budget that cannot be held": (
        changed(experiments={"threshold": {"methods": ["apet-discrete"], "budgets": [8, 10**12]}}),
        "mini-t5-small",
        "1000000000000",
    ),
    "an option that a method lacks": (changed(method_options={"lora": {"rnak": 2}}), "lora", "rnak"),
    "nothing to run": (changed(experiments={}), "experiments", "nothing to run"),
    "a folder that is not there": (
        changed(folders={"mine": "/no/such/folder"}, ladders=[{"name": "x", "backbones": ["mine"]}]),
        "folders.mine",
        "No such file",
    ),
}


@pytest.mark.parametrize("document, place, reason", BAD.values(), ids=BAD.keys())
def test_bad_study_is_one_line_with_its_place(document: dict[str, Any], place: str, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        open_grid(parse_study(document, "study.yaml"))
    message = str(caught.value)
    assert "\n" not in message
    assert place in message
    assert reason in message.replace("_", "").replace(",", "") or reason in message


@pytest.mark.parametrize(
    "text, reason",
    [("name: a\nname: b\n", "line 2"), ("name: [", "line"), ("- a\n- b\n", "mapping"), ("", "mapping"), ("\x00", "")],
)
def test_bad_yaml_is_one_line_with_its_file(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        load_study(path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent\.yaml: No such file"):
        load_study(tmp_path / "absent.yaml")


def test_generated_files_are_those_on_disk(root: Path) -> None:
    """Drift guard: the default study and the schema are what the models say."""
    for name, text in generated_files().items():
        assert (root / name).read_text() == text, f"{name}: run `petscale schema`"


def test_schema_does_not_overwrite_an_edited_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README says: edit this file. Nothing is written where one file was edited, unless it is forced."""
    monkeypatch.chdir(tmp_path)
    assert main(["schema"]) == 0
    assert capsys.readouterr().out.count(": written") == 2
    assert main(["schema"]) == 0
    assert capsys.readouterr().out.count(": as it should be") == 2
    config, schema = tmp_path / "config.yaml", tmp_path / "studies" / "study.schema.json"
    edited = config.read_text().replace("name: mini-full", "name: mine")
    config.write_text(edited)
    schema.unlink()
    assert main(["schema"]) == 2
    assert "config.yaml: exists and is not what would be written, nothing was; --force" in capsys.readouterr().err
    assert config.read_text() == edited
    assert not schema.exists()
    assert main(["schema", "--force"]) == 0
    assert main(["schema", "--check"]) == 0
    assert config.read_text() != edited


def test_default_file_gives_the_default_study(root: Path) -> None:
    """Writing the commented YAML and reading it again gives the same study."""
    read = Study.model_validate(yaml.safe_load((root / "config.yaml").read_text()))
    assert read == Study.model_validate(DEFAULT_STUDY)


def test_every_field_is_described() -> None:
    """The generated file is the documentation of the keys."""

    def undescribed(schema: dict[str, Any]) -> list[str]:
        return [
            f"{name}.{key}"
            for name, section in schema["$defs"].items()
            for key, value in section.get("properties", {}).items()
            if not value.get("description")
        ]

    assert undescribed(json.loads(schema_text())) == []


def test_every_shipped_study_is_valid(root: Path) -> None:
    """For the models, and for editors by the JSON schema."""
    schema = jsonschema.Draft202012Validator(json.loads(schema_text()))
    for path in [root / "config.yaml", *sorted((root / "studies").glob("*.yaml"))]:
        load_study(path)
        assert list(schema.iter_errors(yaml.safe_load(path.read_text()))) == []


@pytest.mark.parametrize(
    "options, valid",
    [
        ({"lora": {"rank": 4, "alpha": 0.5}}, True),
        ({"lora": {"rank": "4"}}, False),
        ({"lora": {"rnak": 4}}, False),
        ({"lorra": {"rank": 4}}, False),
        ({"full": {"rank": 4}}, False),
        ({"apet-discrete": {"operations": {"add": 3, "plug": 1}}}, True),
        ({"apet-discrete": {"operations": {"glue": 1}}}, False),
    ],
)
def test_editors_know_the_options_of_methods(options: dict[str, Any], valid: bool) -> None:
    schema = jsonschema.Draft202012Validator(json.loads(schema_text()))
    assert schema.is_valid(changed(method_options=options)) is valid
