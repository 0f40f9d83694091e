"""`petscale compare` reports no change between equal studies, and exactly the changes between different ones."""

from __future__ import annotations

import argparse
import re

import pytest

from analysis.studies import as_claimed, unlike_claimed, with_holes
from petscale.analysis import compare
from petscale.cli import compare as command
from petscale.errors import BadInput


def _run(a, b, capsys, *more: str) -> str:  # type: ignore[no-untyped-def]
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["compare", str(a.folder), str(b.folder), *more])
    assert args.func(args) == 0
    return str(capsys.readouterr().out)


def test_a_study_against_itself_is_identical() -> None:
    side = compare.Side.read(as_claimed().folder)
    assert set(compare.compare_scores(side, side)["outcome"]) == {compare.IDENTICAL}
    assert set(compare.compare_thresholds(side, side)["outcome"]) == {compare.IDENTICAL}
    assert compare.compare_cells(side, side).empty


def test_changed_truths_show_with_intervals_and_verdicts(capsys) -> None:  # type: ignore[no-untyped-def]
    out = _run(as_claimed(), unlike_claimed(), capsys)
    assert re.search(r"mini-t5-base prompt: (89|90)\.\d+ -> 7\d\.\d+, -1\d\.\d+ \[-1.*\] changed", out)
    assert "changed" in out
    assert "supported (" in out
    assert "-> not supported (" in out
    assert "done -> not planned" in out  # the BERT ladder


def test_lost_cells_are_named(capsys) -> None:  # type: ignore[no-untyped-def]
    out = _run(as_claimed(), with_holes(), capsys, "--all")
    assert "done -> missing" in out
    assert "done -> diverged" in out


def test_a_folder_without_a_plan_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInput, match=r"plan\.json"):
        compare.Side.read(tmp_path)
