"""Snakemake and petscale have one reader of study files; what YAML would silently read in another way is refused."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from snakemake.cli import parse_config as snakemakes
from snakemake.utils import update_config

from petscale.cli.main import main
from petscale.errors import BadInput
from petscale.workspace.study_file import (
    StudyFile,
    config_words,
    load_study,
    merged,
    parse_config,
    read_yaml,
    record_config,
)

STUDY = """\
name: one
ladders: [{name: T5, backbones: [mini-t5-small]}]
tasks: [mini-sentiment]
data: {source: mini, dev_size: 20}
seeds: [1]
recipe:
  steps: 4
  learning_rate: 0.001
experiments: {methods: {methods: [lora]}}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("my study.yaml")
    path.write_text(STUDY)
    return path


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("steps: 4", "steps: 010", "line 7: YAML reads 010 as 8; write the number in base ten"),
        ("steps: 4", "steps: 0x10", "line 7: YAML reads 0x10 as 16; write the number in base ten"),
        ("steps: 4", "steps: 0b11", "line 7: YAML reads 0b11 as 3; write the number in base ten"),
        ("steps: 4", "steps: 1:30", "line 7: YAML reads 1:30 as 90; write the number in base ten"),
        ("steps: 4", "steps: true", "key recipe.steps: a number is needed here"),
        ("steps: 4", "steps: yes", "key recipe.steps: a number is needed here"),
        ("learning_rate: 0.001", "learning_rate: on", "key recipe.learning_rate: a number is needed here"),
        ("seeds: [1]", "seeds: [true]", "key seeds: a number is needed here"),
        ("learning_rate: 0.001", "learning_rate: .inf", "key recipe.learning_rate: Input should be a finite"),
        ("learning_rate: 0.001", "learning_rate: 1.0e+999", "key recipe.learning_rate: Input should be a finite"),
        ("steps: 4", "steps: 4\n  steps: 5", "line 8: key 'steps' stands twice"),
        (
            "seeds: [1]",
            "seeds: [1]\nmethod_options: {lora: {alpha: .nan}}",
            "key method_options.lora.alpha: Input should be a finite",
        ),
        ("seeds: [1]", "seeds: [1]\nrecipe_by_ladder: {T5: {clip_norm: -.inf}}", "key recipe_by_ladder.T5.clip_norm"),
    ],
)
def test_what_would_be_read_in_another_way_is_refused(file: Path, before: str, after: str, words: str) -> None:
    file.write_text(STUDY.replace(before, after))
    with pytest.raises(BadInput) as error:
        load_study(file)
    assert words in str(error.value)
    assert str(file) in str(error.value)


@pytest.mark.parametrize(
    ("text", "number"), [("1e-3", 0.001), ("1.0e-3", 0.001), ("1_0.5", 10.5), ("0.5", 0.5), ("1", 1.0), ("07.5", 7.5)]
)
def test_numbers_in_base_ten_mean_what_they_look_like(file: Path, text: str, number: float) -> None:
    """YAML 1.1 reads 1e-3 as a text, which Pydantic takes as the number."""
    file.write_text(STUDY.replace("learning_rate: 0.001", f"learning_rate: {text}"))
    assert load_study(file).recipe.learning_rate == number


WORDS = [
    ["seeds=[1,2]"],
    ["seeds=[1,2]", "recipe={steps: 8, learning_rate: 1e-2}"],
    ["recipe={dropout: 0.5}", "description=a b 'c'"],
    ["hardware={gpus: false}"],
    ["mask_seed=3"],
    ["mask_seed="],
]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_values_replace_those_of_the_file_as_snakemake_does_it(file: Path, words: list[str]) -> None:
    """The reference is Snakemake's own merge; a record of the values gives the same ones."""
    expected: dict[str, Any] = json.loads(json.dumps(read_yaml(file)))
    update_config(expected, snakemakes(words))
    assert merged(read_yaml(file), parse_config(words)) == expected
    assert StudyFile(file, tuple(words)).document() == expected
    record_config("one", file, parse_config(words))
    found = StudyFile.as_run(file, None)
    assert found.recorded
    assert found.document() == expected
    assert parse_config(config_words(parse_config(words))) == parse_config(words)


def test_a_later_run_without_values_removes_the_record(file: Path) -> None:
    record_config("one", file, {"seeds": ["1", "2"]})
    assert StudyFile.as_run(file, None).load().seeds == [1, 2]
    assert StudyFile.as_run(file, ["seeds=[7]"]).load().seeds == [7]  # what is given counts, not what is recorded
    assert StudyFile.as_run(file, []).load().seeds == [1]
    record_config("one", file, {})
    assert StudyFile.as_run(file, None).load().seeds == [1]


def test_another_file_of_the_same_name_is_another_study(file: Path) -> None:
    record_config("one", file, {"seeds": ["1", "2"]})
    other = Path("other.yaml")
    other.write_text(STUDY)
    assert StudyFile.as_run(other, None).load().seeds == [1]


def test_status_shows_what_the_last_run_asked_for(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its commands carry the values, in words that a shell gives back."""
    record_config("one", file, {"seeds": ["1", "2"]})
    assert main(["status", str(file), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "with --config" in err
    cells = json.loads(out)["cells"]
    assert sorted(cell["cell"].split("/")[-1][:5] for cell in cells) == ["seed1", "seed2"]
    words = shlex.split(cells[0]["rerun"])
    assert words[words.index("--configfile") + 1] == str(file)
    given = tuple(words[words.index("--config") + 1 :])
    assert StudyFile(file, given).load() == StudyFile.as_run(file, None).load()


@pytest.mark.parametrize("word", ["seeds", "=3", "1=2"])
def test_a_value_without_key_is_refused(file: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(file), "--config", word]) == 2
    assert capsys.readouterr().err.startswith("petscale: --config: Invalid config definition")
