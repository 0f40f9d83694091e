"""The page in a real browser, at desktop and phone width.

Screenshots stay in $PETSCALE_ARTEFACTS (default: the test's own folder). $PETSCALE_REPORT tests another page, such as
the one that `make demo` made.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.studies import with_holes
from petscale.report.build import build

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
]  # fmt: skip

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def report() -> Path:
    if "PETSCALE_REPORT" in os.environ:
        return Path(os.environ["PETSCALE_REPORT"]).resolve()
    study = with_holes()
    build(study.plan, study.root, study.folder / "tables", study.folder / "report.html", study.folder / "figures")
    return study.folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator:  # type: ignore[type-arg]
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("PETSCALE_ARTEFACTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize(("name", "width"), [("desktop", 1280), ("phone", 390)])
def test_figures_are_drawn_without_errors_or_network(browser, report, artefacts, name, width) -> None:  # type: ignore[no-untyped-def]
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.evaluate("drawAll().then(() => 1)")
    sizes = page.evaluate(
        "[...document.querySelectorAll('.chart')].map(c => { const s = c.querySelector('svg');"
        " const b = s ? s.getBoundingClientRect() : {width: 0, height: 0};"
        " return [b.width, b.height, s ? s.querySelectorAll('path, text').length : 0]; })"
    )
    assert len(sizes) >= 5
    assert all(w > 250 and h > 120 and marks > 10 for w, h, marks in sizes)
    assert all(w <= width for w, _, _ in sizes)
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=artefacts / f"report-{name}.png", full_page=True)
    page.close()


def test_rows_open_their_cells_and_tables_download(browser, report) -> None:  # type: ignore[no-untyped-def]
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(report.as_uri())
    button = page.locator("#costs button.walk").first
    count = int(button.inner_text())
    button.click()
    page.wait_for_selector("#walk table")
    assert page.locator("#walk table tbody tr").count() == count
    assert "seed" in page.locator("#walk table tbody tr td").first.inner_text()
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.locator("#costs button.csv").first.click()
    text = Path(download.value.path()).read_text()
    assert text.splitlines()[0].startswith("ladder,backbone")
    page.locator("#all-cells summary").click()
    page.wait_for_selector("#cells-table table")
    page.close()


def test_hovering_a_point_tells_cell_seeds_and_interval(browser, report) -> None:  # type: ignore[no-untyped-def]
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(report.as_uri())
    page.evaluate("drawAll().then(() => 1)")
    page.locator("#methods .chart").first.locator(".mark-symbol path").first.hover(force=True)
    page.wait_for_selector("#vg-tooltip-element.visible")
    told = page.locator("#vg-tooltip-element").inner_text()
    assert all(word in told for word in ("cells", "seeds", "interval", "holes"))
    page.close()


def test_it_prints(browser, report, artefacts) -> None:  # type: ignore[no-untyped-def]
    page = browser.new_page()
    page.goto(report.as_uri())
    page.evaluate("drawAll().then(() => 1)")
    page.emulate_media(media="print")
    page.pdf(path=artefacts / "report.pdf", format="A4")
    assert (artefacts / "report.pdf").stat().st_size > 50_000
    page.close()
