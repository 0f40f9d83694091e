"""The numbers of Lialin et al. stand beside a study's, and a difference has its cause where one is known."""

from __future__ import annotations

import pandas as pd
import pytest

from petscale.analysis.against_lialin import BACKBONES, lialin_rows
from petscale.analysis.papers import paper_table
from petscale.backbones.catalogue import lookup
from petscale.study.config.analysis import AnalysisSettings
from petscale.tuning.registry import METHODS, make_plan


def cells_of(method: str, scores: list[float], task: str = "rte", backbone: str = "t5-large") -> pd.DataFrame:
    rows = [
        {
            "cell": f"{backbone}/{task}/{method}/seed{seed}",
            "backbone": backbone,
            "task": task,
            "method": method,
            "seed": seed,
            "score": score,
            "experiments": ("methods",),
            "control": False,
        }
        for seed, score in enumerate(scores)
    ]
    return pd.DataFrame(rows)


def test_the_tables_name_methods_and_backbones_that_exist() -> None:
    for name in ("lialin2024_table5", "lialin2024_appendix_b", "lialin2024_causes"):
        table = paper_table(name)
        assert set(table["method"]) <= set(METHODS)
        assert set(table["backbone"].dropna()) <= set(BACKBONES)
    assert len(paper_table("lialin2024_table5")) == 3 * 15


def test_each_row_of_table_5_whose_count_is_another_has_a_cause_and_no_other() -> None:
    """Counts follow from the plans of the real backbones; the paper rounds to 10,000."""
    causes = paper_table("lialin2024_causes").fillna("")
    explained = {(c.backbone, c.method) for c in causes.itertuples() if c.quantity == "trainable"}
    differing = set()
    for row in paper_table("lialin2024_table5").itertuples():
        count = make_plan(lookup(row.backbone).shape, row.method).trainable
        if abs(count - 1e6 * row.trainable_millions) > 5_000.5:
            differing.add((row.backbone, row.method))
    assert differing == explained


def test_scores_are_compared_by_task_with_the_paper_s_seeds() -> None:
    raw = paper_table("lialin2024_appendix_b")
    theirs = raw[(raw["backbone"] == "t5-large") & (raw["method"] == "houlsby") & (raw["task"] == "rte")]["score"]
    mean = float(theirs.mean())
    near = cells_of("houlsby", [mean - 1, mean, mean + 1])
    (row,) = lialin_rows(near, pd.DataFrame(), AnalysisSettings())
    assert (row["paper"], row["within_noise"], row["cause"]) == (pytest.approx(mean), "yes", "")
    far = near.assign(score=near["score"] + 30)
    (row,) = lialin_rows(far, pd.DataFrame(), AnalysisSettings())
    assert row["within_noise"] == "no"
    assert row["difference"] == pytest.approx(30)


def test_a_prefix_names_the_known_cause_and_other_backbones_are_not_compared() -> None:
    (row,) = lialin_rows(cells_of("prefix", [80.0, 81.0, 82.0]), pd.DataFrame(), AnalysisSettings())
    assert "positions: shifted" in row["cause"]
    assert not list(
        lialin_rows(cells_of("prefix", [80.0], backbone="mini-t5-base"), pd.DataFrame(), AnalysisSettings())
    )


def test_costs_are_those_of_table_5_in_percent_of_full() -> None:
    comparison = pd.DataFrame(
        [
            {
                "backbone": "t5-3b",
                "method": method,
                "trainable": count,
                "train_ratio": 1.1,
                "inference_ratio": float("nan"),
                "cells": "",
            }
            for method, count in (("lora-qv", 5_898_240), ("houlsby", 12_687_360))
        ]
    )
    rows = {
        (row["method"], row["quantity"].split(" (")[0]): row
        for row in lialin_rows(cells_of("x", [1.0]).iloc[:0], comparison, AnalysisSettings())
    }
    assert rows["lora-qv", "trained parameters"]["within_noise"] == "no"
    assert "self-attention" in rows["lora-qv", "trained parameters"]["cause"]
    assert rows["houlsby", "trained parameters"]["within_noise"] == "yes"
    assert rows["houlsby", "trained parameters"]["cause"] == ""
    speed = rows["houlsby", "training speed, % of full"]
    assert (speed["ours"], speed["paper"]) == (pytest.approx(110), 93.1)
    assert ("houlsby", "inference speed, % of full") not in rows
