"""How a change looks in Prefect's own pages, in headless Chromium; the picture in the docs is taken here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.factories import LAW_CHANGE
from tests.system import System, until

pytestmark = [pytest.mark.server, pytest.mark.browser]
PICTURE = Path(__file__).resolve().parent.parent.parent / "docs" / "pictures" / "run.png"


def test_an_operator_sees_a_change_as_one_readable_run_with_its_status_page(system: System) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium not found")
    change = system.change("law_change", {**LAW_CHANGE, "title": "餐饮服务管理条例修订"})
    system.says(change, "p-zhou", "confirm")
    system.says(change, "p-he", "submit")
    until(lambda: system.run_state(change) == "PAUSED", 40, "the run sleeps")
    run = system.show(change)["flow_run_id"]
    address = system.settings.prefect_api.removesuffix("/api") + f"/v2/runs/flow-run/{run}?tab=Artifacts"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.get_by_text("餐饮服务管理条例修订 · 起草").first.wait_for(timeout=30_000)
        page.get_by_text("在办：等待").first.wait_for(timeout=30_000)
        if os.environ.get("SHIXIANG_WRITE_DOCS"):
            page.wait_for_timeout(1500)
            PICTURE.parent.mkdir(exist_ok=True)
            page.screenshot(path=PICTURE)
        browser.close()


def test_a_hostile_title_is_text_on_the_run_and_its_page(system: System) -> None:
    """Prefect's own pages draw markdown: nothing of it may be fetched, followed or run."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium not found")
    title = "![p](https://evil.example) <img src=//evil.example> [a](https://evil.example) www.evil.example https://evil.example"
    change = system.change("law_change", {**LAW_CHANGE, "title": title})
    until(lambda: system.run_state(change) == "PAUSED", 60, "the run sleeps")
    run = system.show(change)["flow_run_id"]
    address = system.settings.prefect_api.removesuffix("/api") + f"/v2/runs/flow-run/{run}?tab=Artifacts"
    key = f"change-{change}-status"
    pages = until(lambda: system.read("artifacts/filter", {"artifacts": {"key": {"any_": [key]}}}), 60, "the page")
    artifact = system.settings.prefect_api.removesuffix("/api") + f"/v2/artifacts/artifact/{pages[0]['id']}"
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        for where, seen in ((address, "范围待确认"), (artifact, "现在等谁")):
            page.goto(where)
            page.get_by_text(seen).first.wait_for(timeout=60_000)
            page.wait_for_timeout(500)
            assert page.locator("a[href*='evil.example'], img[src*='evil.example']").count() == 0, where
        assert "evil" in page.locator("main, #root, body").first.inner_text()
        browser.close()
    assert [one for one in asked if "evil.example" in one] == []
