"""The power of each claim is that of a simulation with the scatter of the study's own cells."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from analysis.studies import Study, as_claimed, unlike_claimed, with_holes
from petscale.analysis.power_table import power_table, seed_scatter
from petscale.analysis.simulate import Simulator, World, of_the_paper, power, quick
from petscale.analysis.study_plan import read_plan, settings_of
from petscale.analysis.wording import power_texts


def scatter_of_records(study: Study) -> dict[tuple[str, str], float]:
    """The same scatter from the plan and the records alone, cell by cell."""
    plan = json.loads(study.plan.read_text())
    families = {ladder["name"]: ladder["family"] for ladder in plan["ladders"]}
    classes = {task["name"]: task["classes"] for task in plan["tasks"]}
    known: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for cell in plan["cells"]:
        record = study.root / "cells" / cell["cell"] / "result.json"
        swept = cell["structure"] and not cell["matches"]
        if cell["method"] == "frozen" or swept or cell["control"] or not record.exists():
            continue
        document = json.loads(record.read_text())
        if document["status"] != "done":
            continue
        labels = classes[cell["task"]]
        generated = labels and families[cell["ladder"]] == "t5"
        points = 100 * document["test"]["rank_accuracy" if generated else document["metric"]]["value"]
        guess = 100 / labels if labels else 0.0
        settings = (cell["task"], cell["budget"], cell["learning_rate"], cell["labels"], cell["head"])
        place = (cell["backbone"], cell["method"], *settings)
        known[place].append(100 * (points - guess) / (100 - guess))
    squares: dict[tuple[str, str], float] = defaultdict(float)
    degrees: dict[tuple[str, str], int] = defaultdict(int)
    for (backbone, method, *_), values in known.items():
        mean = sum(values) / len(values)
        squares[backbone, method] += sum((value - mean) ** 2 for value in values)
        degrees[backbone, method] += len(values) - 1
    return {pair: math.sqrt(squares[pair] / degrees[pair]) for pair in squares if degrees[pair]}


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
              "labels": "words", "head": "trained", "control": False, "status": "done", "matches": ()}  # fmt: skip
    cells = pd.DataFrame([{**common, **row, "chance": row["guess"], "rank_accuracy": row["score"]} for row in rows])
    assert seed_scatter(cells) == pytest.approx({("b", "full"): math.sqrt(8.0)})  # both groups: 60 and 64
    others = pd.DataFrame(
        [
            {**cells.iloc[0].to_dict(), "score": 0.0, "seed": 7, **change}
            for change in ({"method": "frozen"}, {"control": True}, {"structure": "discrete"}, {"status": "diverged"})
        ]
    )
    assert seed_scatter(pd.concat([cells, others])) == pytest.approx({("b", "full"): math.sqrt(8.0)})
    assert seed_scatter(cells[cells["seed"] == 0]) == {}


def test_each_backbone_and_method_has_its_own_scatter() -> None:
    """A method that scatters by ten points says nothing of one that scatters by one; a simulation draws them so."""
    study = as_claimed()
    plan = read_plan(study.plan)
    pairs = sorted({(cell["backbone"], cell["method"]) for cell in plan["cells"] if cell["method"] != "frozen"})
    noisy = pairs[0]
    simulator = Simulator(plan, settings_of(plan))
    world = World(seed_sd=1.0, sd_of={noisy: 10.0})
    scatter = simulator._scatter(world)
    here = (simulator._cells["backbone"] == noisy[0]) & (simulator._cells["method"] == noisy[1])
    assert set(scatter[here]) == {10.0}
    assert set(scatter[~here]) == {1.0}


def test_a_row_has_the_shares_of_studies_simulated_with_this_scatter() -> None:
    study = as_claimed()
    plan, table = read_plan(study.plan), study.tables["power"].reset_index(drop=True)
    settings, scatter = settings_of(plan), scatter_of_records(study)
    seed_sd = statistics.median(scatter.values())
    world = replace(of_the_paper(plan, seed_sd), sd_of=scatter)
    found = power(plan, quick(settings), world, settings.power_draws, settings.seed)
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
