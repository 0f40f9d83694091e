"""The zero-shot score leaves out target rows that the source was trained on; the score with them is reported too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.synthetic import Design, Truth, write_study
from petscale.analysis.study_plan import read_plan, settings_of
from petscale.analysis.tidy import tidy
from petscale.analysis.transfer import transfer_table, with_ratios
from petscale.analysis.transfer_scores import transfer_scores


def test_seen_rows_are_out_of_score_and_ratio(tmp_path: Path) -> None:
    """One pair shares 300 of 500 rows and scores 0.9 on all, 0.7 on the others; other pairs share none or unknown."""
    tasks = (("reviews", "sentiment", 2), ("films", "sentiment", 2))
    design = Design(scales=1, seeds=(1, 2), tasks=tasks, threshold_tasks=0)
    plan = read_plan(write_study(tmp_path, design, Truth()))
    for planned in plan["transfers"]:
        path = tmp_path / planned["path"]
        document = json.loads(path.read_text())
        if planned["target"] == "films":
            document["shared_rows"] = 300
            document["scores"]["accuracy"]["value"] = 0.9
            document["scores_without_shared"] = {"accuracy": {"value": 0.7, "se": 0.03, "n": 200}}
            path.write_text(json.dumps(document))
    scores = transfer_scores(plan, tidy(plan, tmp_path), tmp_path)
    table = transfer_table(with_ratios(scores, settings_of(plan)), settings_of(plan))
    known = table.set_index(["method", "source", "target"])
    for method in ("apet-adjacent", "apet-discrete"):
        leaked = known.loc[(method, "reviews", "films")]
        assert (leaked["score"], leaked["score_all"], leaked["shared_rows"]) == pytest.approx((70.0, 90.0, 300))
        assert leaked["relative"] == pytest.approx(100 * 70 / leaked["original"], rel=0.01)
        other = known.loc[(method, "films", "reviews")]  # a record of before the count
        assert other["score"] == other["score_all"]
        assert other["shared_rows"] != other["shared_rows"]
