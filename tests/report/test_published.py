"""README and docs/study report the default study as its committed tables do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd

from petscale.analysis.claims import claims_markdown, decided_markdown
from petscale.report.build import make_figures, read_tables


def published(root: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(root / "docs/study/tables" / f"{name}.csv")


def test_the_claims_of_the_readme_are_those_of_the_tables(root: Path) -> None:
    """The README has the claims that are decided in some reading, in at most ten lines, and links to all of them."""
    claims, text = published(root, "claims"), (root / "README.md").read_text()
    simulated = (root / "docs/study/tables/power.csv").exists()
    power = published(root, "power") if simulated else pd.DataFrame()
    assert claims_markdown(claims, power) == (root / "docs/study/tables/claims.md").read_text()
    assert decided_markdown(claims) in text
    assert len(decided_markdown(claims).splitlines()) <= 12  # two of them are the heading
    assert "docs/study/tables/claims.md" in text


def test_the_tables_are_of_the_whole_study_at_the_commit_that_is_named(root: Path) -> None:
    cells, text = published(root, "cells"), (root / "docs/study/README.md").read_text()
    assert published(root, "missing").empty
    assert set(cells["status"]) <= {"done", "diverged"}
    assert cells.groupby("experiments")["seed"].nunique().max() == 8
    assert f"{len(cells):,} cells" in text
    assert re.search(r"commit `[0-9a-f]{7,40}`", text)


def test_every_number_leads_to_cells_that_are_listed(root: Path) -> None:
    listed = set(published(root, "cells")["cell"])
    for name in ("methods", "structure", "convergence", "threshold"):
        behind = published(root, name)["cells"].dropna()
        assert len(behind) > 0
        assert {cell for cells in behind for cell in cells.split(";")} <= listed


def test_pictures_of_the_readme_are_there(root: Path) -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", (root / "README.md").read_text())
    assert pictures
    assert all((root / picture).is_file() for picture in pictures)


def test_every_figure_of_the_study_can_be_written(root: Path) -> None:
    """A search may find no upper end of a threshold: no data of a figure may be infinite, and no layer without data."""
    figures = make_figures(read_tables(root / "docs/study/tables"))
    assert {figure.experiment for figure in figures} >= {"methods", "structure", "convergence", "threshold", "transfer"}
    for figure in figures:
        document = figure.interactive()
        json.dumps(document, allow_nan=False)
        assert all(document["datasets"].values())


def test_the_comparison_of_methods_is_reported_as_its_tables_do(root: Path) -> None:
    """All cells of `make comparison` are done, and the scores of the page's table are those of comparison.csv."""
    folder = root / "docs/comparison"
    cells, found = (pd.read_csv(folder / "tables" / f"{name}.csv") for name in ("cells", "comparison"))
    claims, power = (pd.read_csv(folder / "tables" / f"{name}.csv") for name in ("claims", "power"))
    text = (folder / "README.md").read_text()
    assert set(cells["status"]) == {"done"}
    assert f"All {len(cells)} cells" in " ".join(text.split())
    assert claims_markdown(claims, power) == (folder / "tables/claims.md").read_text()
    own = found[found["reading"] == "as published"].set_index(["method", "backbone"])
    rows = [
        line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| [a-z0-9-]+ \| [\d.]+ \|", line)
    ]
    assert {row[0] for row in rows} == set(found["method"])
    for method, small, small_rank, large, large_rank, bert, trained in rows:
        for shown, rank, backbone in (
            (small, small_rank, "mini-t5-small-12k"),
            (large, large_rank, "mini-t5-large"),
            (bert, None, "mini-bert-large"),
        ):
            row = own.loc[(method, backbone)]
            assert shown == f"{row['value']:.1f}"
            assert rank in (None, f"{row['rank_low']:.0f} to {row['rank_high']:.0f}")
        assert trained == f"{own.loc[(method, 'mini-t5-large')]['trainable']:,.0f}"
