"""`petscale count` and `petscale methods` print the right numbers, and give one clear line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from petscale.cli.main import main
from petscale.tuning.registry import METHODS


def count(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main(["count", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_fields(capsys: pytest.CaptureFixture[str]) -> None:
    fields = count(capsys, "google/t5-v1_1-small", "bitfit")
    assert (fields["trainable"], fields["effective"], fields["head"]) == (121_216, 115_072, 0)
    assert (fields["deployed"], fields["touched"]) == (121_216, 0)  # no bias is there to fold into
    assert fields["rank"] is None
    assert fields["total"] == 76_961_152
    assert fields["percent"] == pytest.approx(0.158, abs=1e-3)
    assert fields["by_operation"] == {"add-hidden": 121_216}
    assert sum(fields["by_role"].values()) == 121_216  # type: ignore[attr-defined]


def test_budget_match_seed_and_head(capsys: pytest.CaptureFixture[str]) -> None:
    matched = count(capsys, "bert-small", "apet-discrete", "--match", "lora", "--mask-seed", "3")
    assert matched["trainable"] == matched["effective"] == 65_536
    assert matched["head"] == 2 * 512 + 2
    assert count(capsys, "bert-small", "apet-adjacent", "--budget", "7", "--labels", "3")["head"] == 3 * 513
    rank = count(capsys, "bert-small", "lora", "--option", "rank=1", "--option", 'targets=["self.*"]')
    assert rank["trainable"] == 4 * 4 * 1024


def test_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["count", "t5-v1_1-xxl", "lora"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["trainable", "6,291,456"] in lines
    assert ["rank", "8"] in lines
    assert main(["count", "t5-v1_1-xxl", "prompt"]) == 0
    assert ["rank", "none"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_local_folder_counts_by_its_tensors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Regression guard: transformers 5 writes `tie_word_embeddings: true` into an untied T5's config.

    An output matrix that differs from the embeddings is counted; one that is equal to them is a copy.
    """
    config = {
        "model_type": "t5",
        "d_model": 8,
        "d_ff": 12,
        "num_heads": 2,
        "d_kv": 4,
        "num_layers": 1,
        "vocab_size": 30,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    totals = []
    shared = {"shared.weight": torch.zeros(30, 8)}
    for head in ({}, {"lm_head.weight": torch.ones(30, 8)}, {"lm_head.weight": torch.zeros(30, 8)}):
        save_file({**shared, **head}, tmp_path / "model.safetensors")
        totals.append(count(capsys, str(tmp_path), "frozen")["total"])
    assert totals[1] - totals[0] == 30 * 8  # type: ignore[operator]
    assert totals[2] == totals[0]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["t5-v1_1-smal", "lora"], "did you mean"),
        (["t5-v1_1-small", "lara"], "did you mean lora"),
        (["t5-v1_1-small", "apet-discrete", "--budget", "100000000"], "at most 44,040,192"),
        (["t5-v1_1-small", "lora", "--budget", "5"], "a budget cannot be asked for"),
        (["t5-v1_1-small", "apet-discrete", "--match", "frozen"], "trains nothing"),
        (["t5-v1_1-small", "lora", "--option", "rank"], "KEY=JSON"),
        (["t5-v1_1-small", "lora", "--option", "rank=0"], "option rank"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["count", *arguments]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_an_unreadable_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["count", str(tmp_path), "lora"]) == 2
    (tmp_path / "config.json").write_text("{")
    assert main(["count", str(tmp_path), "lora"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_methods_lists_reference_operation_and_formula(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed) == set(METHODS)
    assert all(entry["reference"] and entry["formula"] for entry in listed.values())
    assert main(["methods"]) == 0
    assert "Houlsby et al. 2019" in capsys.readouterr().out
