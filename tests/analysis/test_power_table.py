"""The power of each claim is that of a simulation with the scatter of the study's own cells."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import Any

import pandas as pd
import pytest

from analysis.studies import Study, as_claimed, unlike_claimed, with_holes
from petscale.analysis.power_table import power_table, seed_scatter
from petscale.analysis.simulate import of_the_paper, power, quick
from petscale.analysis.study_plan import read_plan, settings_of
from petscale.analysis.wording import power_texts


def scatter_of_records(study: Study) -> float:
    """The same scatter from the plan and the records alone, cell by cell."""
    plan = json.loads(study.plan.read_text())
    families = {ladder["name"]: ladder["family"] for ladder in plan["ladders"]}
    classes = {task["name"]: task["classes"] for task in plan["tasks"]}
    known: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for cell in plan["cells"]:
        record = study.root / "cells" / cell["cell"] / "result.json"
        if cell["method"] == "frozen" or cell["structure"] or cell["control"] or not record.exists():
            continue
        document = json.loads(record.read_text())
        if document["status"] != "done":
            continue
        labels = classes[cell["task"]]
        generated = labels and families[cell["ladder"]] == "t5"
        points = 100 * document["test"]["rank_accuracy" if generated else document["metric"]]["value"]
        guess = 100 / labels if labels else 0.0
        place = (cell["backbone"], cell["task"], cell["method"], cell["learning_rate"], cell["head"])
        known[place].append(100 * (points - guess) / (100 - guess))
    squares, degrees = 0.0, 0
    for values in known.values():
        mean = sum(values) / len(values)
        squares += sum((value - mean) ** 2 for value in values)
        degrees += len(values) - 1
    return math.sqrt(squares / degrees)


@pytest.mark.parametrize("study", [as_claimed, with_holes])
def test_the_scatter_is_that_of_a_plain_loop_over_the_records(study: Any) -> None:
    """With holes some groups have one cell, which says nothing of the scatter."""
    assert seed_scatter(study().tables["cells"]) == pytest.approx(scatter_of_records(study()), rel=1e-9)


def test_the_scatter_is_of_what_is_known_and_not_of_points() -> None:
    """A point of accuracy on two classes is two points of what can be known above guessing; on free text it is one."""
    rows = [
        {"task": task, "guess": guess, "score": score, "seed": seed}
        for task, guess, scores in (("labels", 50.0, (80.0, 82.0)), ("text", 0.0, (60.0, 64.0)))
        for seed, score in enumerate(scores)
    ]
    common = {"backbone": "b", "method": "full", "structure": None, "budget": None, "learning_rate": 1e-3,
              "labels": "words", "head": "trained", "control": False, "status": "done"}  # fmt: skip
    cells = pd.DataFrame([{**common, **row, "chance": row["guess"], "rank_accuracy": row["score"]} for row in rows])
    assert seed_scatter(cells) == pytest.approx(math.sqrt(8.0))  # both groups: 60 and 64
    others = pd.DataFrame(
        [
            {**cells.iloc[0].to_dict(), "score": 0.0, "seed": 7, **change}
            for change in ({"method": "frozen"}, {"control": True}, {"structure": "discrete"}, {"status": "diverged"})
        ]
    )
    assert seed_scatter(pd.concat([cells, others])) == pytest.approx(math.sqrt(8.0))
    assert math.isnan(seed_scatter(cells[cells["seed"] == 0]))


def test_a_row_has_the_shares_of_studies_simulated_with_this_scatter() -> None:
    study = as_claimed()
    plan, table = read_plan(study.plan), study.tables["power"].reset_index(drop=True)
    settings, seed_sd = settings_of(plan), scatter_of_records(study)
    found = power(plan, quick(settings), of_the_paper(plan, seed_sd), settings.power_draws, settings.seed)
    names = ["id", "claim", "ladder", "reading"]
    pd.testing.assert_frame_equal(table[names], study.tables["claims"][names].reset_index(drop=True))
    pd.testing.assert_frame_equal(table[names], found[names].reset_index(drop=True))
    assert table["supported"].tolist() == found["supported"].tolist()
    assert table["decided"].tolist() == (found["supported"] + found["not supported"]).tolist()
    assert 0 < table["supported"].sum() <= table["decided"].sum()
    assert set(table["draws"]) == {settings.power_draws}
    assert table["seed_sd"].tolist() == pytest.approx([seed_sd] * len(table))


def test_without_draws_or_without_a_second_seed_there_is_no_power() -> None:
    study = unlike_claimed()
    plan, cells = read_plan(study.plan), study.tables["cells"]
    assert settings_of(plan).power_draws == 0
    assert study.tables["power"].empty
    assert "power" not in (study.folder / "tables" / "claims.md").read_text()
    asked = settings_of(plan).model_copy(update={"power_draws": 1})
    alone = (cells["seed"] == 1) & cells["experiments"].map(lambda names: "methods" in names)
    assert alone.any()
    assert power_table(plan, cells[alone], asked).empty


def test_a_claim_that_is_not_measurable_shows_a_dash() -> None:
    """It may have had power before its tasks turned out not to be learnt."""
    claims = pd.DataFrame(
        [
            {"id": name, "ladder": "l", "reading": "r", "verdict": verdict}
            for name, verdict in (("a", "inconclusive"), ("b", "not measurable here"), ("c", "supported"))
        ]
    )
    known = pd.DataFrame([{"id": name, "ladder": "l", "reading": "r", "decided": 0.846} for name in "ab"])
    assert power_texts(claims, known) == ["85 %", "–", "–"]
    assert power_texts(claims, known.iloc[:0]) == ["–"] * 3
