"""All metrics of all test sets are kept and shown, not only the main metric."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from analysis.studies import as_claimed, with_holes
from petscale.analysis.readings import PUBLISHED


def test_scores_hold_every_metric_of_every_finished_cell() -> None:
    """There is one row per cell and metric, equal to the record, and none for cells without a score."""
    study = with_holes()
    scores, cells = study.tables["scores"], study.tables["cells"]
    assert set(scores["cell"]) == set(cells.loc[cells["status"] == "done", "cell"])
    assert {"accuracy", "rank_accuracy", "f1", "em", "mismatched/accuracy"} == set(scores["metric"])
    for cell, part in list(scores.groupby("cell"))[::40]:
        record = json.loads((study.root / "cells" / str(cell) / "result.json").read_text())
        assert part["metric"].tolist()[0] == record["metric"]
        assert part.loc[part["main"], "metric"].tolist() == [record["metric"]]
        found = part.set_index("metric")
        assert set(found.index) == set(record["test"])
        for metric, score in record["test"].items():
            assert found.loc[metric, "value"] == pytest.approx(100 * score["value"])
            assert found.loc[metric, "se"] == pytest.approx(100 * score["se"])
            assert found.loc[metric, "n"] == score["n"]
    main = scores[scores["main"]].set_index("cell")["value"]
    assert main.to_dict() == pytest.approx(cells.dropna(subset=["score"]).set_index("cell")["score"].to_dict())


def test_metrics_stand_beside_the_main_one() -> None:
    """MNLI's mismatched rows and exact match were in result.json and in no table."""
    table = as_claimed().tables["metrics"]
    assert {(row.task, row.metric) for row in table.itertuples()} == {
        ("entails", "mismatched/accuracy"),
        ("facts", "em"),
    }
    share = table["metric"].map({"em": 0.8, "mismatched/accuracy": 0.9})
    assert table["value"].tolist() == pytest.approx((share * table["main_value"]).tolist())
    assert (
        (table["seeds"] == 3).all() and (table["low"] < table["value"]).all() and (table["value"] < table["high"]).all()
    )
    both = as_claimed().tables["methods"]
    methods = both[both["reading"] == PUBLISHED].set_index(["backbone", "method", "task"])["value"]
    for row in table.itertuples():
        assert row.main_value == pytest.approx(methods[row.backbone, row.method, row.task])
    assert isinstance(table["cells"].iloc[0], str) and not pd.isna(table["cells"]).any()
