"""The table of cells has one row per planned cell, and separates finished, diverged, missing and unreadable ones."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from analysis.synthetic import Design, Truth, make_plan, write_study
from petscale.analysis.study_plan import read_plan, settings_of
from petscale.analysis.tidy import curves, tidy
from petscale.errors import BadInput

DESIGN = Design(scales=1, seeds=(1,), tasks=(("reviews", "sentiment", 2),), threshold_tasks=0)


def _study(root: Path, **more):  # type: ignore[no-untyped-def]
    return read_plan(write_study(root, DESIGN, Truth(), **more))


def test_finished_cells_have_points(tmp_path: Path) -> None:
    cells = tidy(_study(tmp_path), tmp_path)
    full = cells[cells["method"] == "full"].iloc[0]
    record = json.loads((tmp_path / "cells" / full["cell"] / "result.json").read_text())
    assert full["score"] == pytest.approx(100 * record["test"]["accuracy"]["value"])
    assert full["rank_accuracy"] == pytest.approx(100 * record["test"]["rank_accuracy"]["value"])
    assert full["score_n"] == 500
    assert set(cells["status"]) == {"done"}


def test_counts_are_the_record_s_else_the_plan_s_and_may_be_absent(tmp_path: Path) -> None:
    """Plans and records of before have no deployed, touched and rank; in a plan of masked pairs touched is unknown."""
    plan = _study(tmp_path)
    names = ["deployed", "touched", "rank"]
    assert tidy(plan, tmp_path)[names].isna().all(axis=None)
    planned = {**plan, "cells": [{**cell, "deployed": 5, "touched": None, "rank": None} for cell in plan["cells"]]}
    path = tmp_path / "cells" / plan["cells"][0]["cell"] / "result.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "counts": {**document["counts"], "touched": 7, "rank": 2, "deployed": 0}}))
    cells = tidy(planned, tmp_path)[names]
    assert cells.iloc[0].tolist() == [0, 7, 2]
    assert (cells.iloc[1:]["deployed"] == 5).all()
    assert cells.iloc[1:][["touched", "rank"]].isna().all(axis=None)


def test_fates_are_told_apart(tmp_path: Path) -> None:
    plan = _study(tmp_path, fate=lambda cell: {"full": "missing", "prompt": "diverged"}.get(cell["method"], "done"))
    cells = tidy(plan, tmp_path).set_index("method")
    assert (cells.loc["full", "status"], cells.loc["full", "cause"]) == ("missing", "not run")
    assert cells.loc["prompt", "status"] == "diverged"
    assert "NaN" in cells.loc["prompt", "cause"]
    assert cells.loc[["full", "prompt"], "score"].isna().all()


def test_unreadable_and_foreign_records_are_missing_with_a_reason(tmp_path: Path) -> None:
    plan = _study(tmp_path)
    first, second = (tmp_path / "cells" / cell["cell"] / "result.json" for cell in plan["cells"][:2])
    first.write_text("{")
    document = json.loads(second.read_text())
    second.write_text(json.dumps({**document, "digest": "f" * 12}))
    cells = tidy(plan, tmp_path)
    assert cells["status"].tolist()[:2] == ["missing", "missing"]
    assert "not a readable result record" in cells["cause"][0]
    assert "digest" in cells["cause"][1]


def test_a_finished_cell_without_a_score_says_so(tmp_path: Path) -> None:
    plan = _study(tmp_path)
    path = tmp_path / "cells" / plan["cells"][0]["cell"] / "result.json"
    document = json.loads(path.read_text())
    document["test"]["accuracy"]["value"] = None
    path.write_text(json.dumps(document))
    assert "no test score" in tidy(plan, tmp_path)["cause"][0]


def test_chance_is_a_class_head_s(tmp_path: Path) -> None:
    plan = make_plan(Design(ladders=(("t", "t5"), ("b", "bert")), scales=1, seeds=(1,), threshold_tasks=0))
    chance = tidy(plan, tmp_path).groupby("ladder")["chance"].max()
    assert (chance["t"], chance["b"]) == (0.0, 50.0)


def test_curves_are_in_points_and_survive_a_missing_file(tmp_path: Path) -> None:
    plan = _study(tmp_path)
    cells = tidy(plan, tmp_path)
    (tmp_path / "cells" / cells["cell"][0] / "curve.csv").unlink()
    lines = curves(cells, tmp_path)
    assert lines["cell"].nunique() == len(cells) - 1
    assert 50 < lines["dev"].max() <= 100
    assert curves(cells[:0], tmp_path).empty


@pytest.mark.parametrize(("text", "named"), [("{", "readable"), ("[]", "object"), ('{"study": "x"}', "settings")])
def test_bad_plans_give_one_line_that_names_file_and_key(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=named) as error:
        read_plan(path)
    assert str(path) in str(error.value)


def test_bad_settings_name_the_key() -> None:
    with pytest.raises(BadInput, match=r"settings\.convergence"):
        settings_of({"study": "x", "settings": {"convergence": {"smoothing": 2}}})


@pytest.mark.parametrize("name", ["curve.csv", "predictions.parquet"])
def test_a_cell_whose_files_changed_since_is_missing_with_a_reason(tmp_path: Path, name: str) -> None:
    """Curves and scores of examples are used in figures and intervals, so a changed byte in one must be noticed."""
    plan = _study(tmp_path)
    folder = tmp_path / "cells" / plan["cells"][0]["cell"]
    document = json.loads((folder / "result.json").read_text())
    data = b"published"
    (folder / name).write_bytes(data)
    document["files"] = {name: hashlib.sha256(data).hexdigest(), "delta.safetensors": "0" * 64}
    (folder / "result.json").write_text(json.dumps(document))
    assert tidy(plan, tmp_path)["status"][0] == "done"
    (folder / name).write_bytes(data[:-1])
    assert f"{name}: changed since its cell was published" in tidy(plan, tmp_path)["cause"][0]
