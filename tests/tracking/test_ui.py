"""In the MLflow UI the documented queries find their runs, and curves and artifacts are visible."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from petscale.tracking.rounds import Tracker
from petscale.tracking.store import Store
from petscale.tracking.trace import CELLS

from .servers import Server


def documented_queries(root: Path) -> list[str]:
    """The filters of the table in docs/tracking.md, for the small study."""
    rows = re.findall(r"^\| [^|]+ \| (`{1,2})(.+?)\1 \|", (root / "docs" / "tracking.md").read_text(), re.MULTILINE)
    return [text.replace("mini-full", "small") for _, text in rows if text.startswith(("tags.", "attributes."))]


def test_documented_queries_are_understood(results: Any, open_store: Callable[[], Store], root: Path) -> None:
    """Guards the docs: each query parses, and those of this study's one experiment find its cells."""
    for cell, phase in zip(results.cells, ("done", "diverged", "failed", "done"), strict=True):
        results.run(cell, phase)
    Tracker(results.grid, results.root, results.cells).round(open_store)
    store = open_store()
    queries = documented_queries(root)
    assert len(queries) == 9
    table = [store.experiment(CELLS).experiment_id]
    found = {query: len(store._client.search_runs(table, filter_string=query)) for query in queries}
    assert found["tags.status = 'diverged'"] == 1
    assert found["attributes.status = 'FAILED'"] == 1
    methods = next(query for query in queries if ".methods`" in query)
    assert len(store._client.search_runs(table, filter_string=methods.replace("mini-qa", "mini-sentiment"))) == 4


@pytest.mark.slow
@pytest.mark.chromium
def test_runs_curves_and_artifacts_are_visible(results: Any, open_store: Callable[[], Store], tmp_path: Path) -> None:
    browser_path = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser_path is None:
        pytest.skip("no chromium (Debian: chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    results.run(results.cells[0])
    results.run(results.cells[1], "failed")
    Tracker(results.grid, results.root, results.cells).round(open_store)
    store = open_store()
    table = store.experiment(CELLS).experiment_id
    (run,) = store._client.search_runs([table], filter_string="tags.status = 'done'")
    server = Server(store.uri, tmp_path)
    try:
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1500, "height": 900})
            page.set_default_timeout(120_000)
            page.goto(f"{server.uri}/#/experiments/{table}/runs")
            page.get_by_text("2 matching runs").wait_for()
            page.goto(f"{server.uri}/#/experiments/{table}/runs/{run.info.run_id}/model-metrics")
            page.locator(".js-plotly-plot").first.wait_for()
            page.goto(f"{server.uri}/#/experiments/{table}/runs/{run.info.run_id}/artifacts")
            for name in ("result.json", "curve.csv", "delta.safetensors", "predictions.parquet", "logs"):
                page.get_by_text(name, exact=True).first.wait_for()
            browser.close()
    finally:
        server.stop()
