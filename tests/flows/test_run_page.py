"""How a change looks in Prefect's own pages, in headless Chromium; the picture in the docs is taken here."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from sqlalchemy import update

from models.store.sql import table
from models.tables import Department, Person
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


def test_hostile_names_are_texts_in_everything_prefect_shows(system: System) -> None:
    """Prefect's own pages draw markdown and addresses: nothing of them may be fetched, followed or run."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium not found")
    evil = "![p](https://evil.example) <img src=//evil.example> [a](https://evil.example) www.evil.example\x1b[2J\nevil"
    with system.db.writer() as connection:
        for column in (table(Department).c.short, table(Department).c.full, table(Person).c.name):
            connection.execute(update(column.table).values({column.name: column + evil}))
    change = system.change("law_change", {**LAW_CHANGE, "title": evil})
    system.says(change, "p-zhou", "confirm")
    system.says(change, "p-he", "submit")
    until(lambda: system.run_state(change) == "PAUSED", 60, "the run sleeps")
    run = system.show(change)["flow_run_id"]
    deployment = system.read("deployments/name/law_change/change")["id"]
    body = {"parameters": {"change": {**LAW_CHANGE, "law": evil}}, "state": {"type": "SCHEDULED"}}
    failed = system.read(f"deployments/{deployment}/create_flow_run", body)["id"]
    until(lambda: system.read(f"flow_runs/{failed}")["state_type"] == "FAILED", 60, "the run fails")
    key = f"change-{change}-status"
    pages = until(lambda: system.read("artifacts/filter", {"artifacts": {"key": {"any_": [key]}}}), 60, "the page")
    of_runs = {"flow_runs": {"id": {"any_": [run, failed]}}}
    shown = [
        *[one["name"] for name in ("flow_runs", "task_runs") for one in system.read(f"{name}/filter", of_runs)],
        *[one["state"]["message"] or "" for one in system.read("flow_runs/filter", of_runs)],
        *[one["message"] for one in system.read("logs/filter", {"logs": {"flow_run_id": {"any_": [run, failed]}}})],
    ]
    assert sum("evil" in one for one in shown) >= 3, "the name of the run, the name of a task, the message of a state"
    assert [one for one in shown if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", one)] == []
    root = system.settings.prefect_api.removesuffix("/api")
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        for where, seen in (
            (f"/v2/runs/flow-run/{run}?tab=Artifacts", "起草"),
            (f"/v2/runs/flow-run/{run}?tab=Task%20Runs", "起草"),
            (f"/v2/runs/flow-run/{failed}?tab=Logs", "法规库中没有"),
            (f"/v2/artifacts/artifact/{pages[0]['id']}", "现在等谁"),
        ):
            page.goto(root + where)
            page.get_by_text(seen).first.wait_for(timeout=60_000)
            page.wait_for_timeout(500)
            assert "evil" in page.locator("main, #root, body").first.inner_text(), where
            assert page.locator("a[href*='evil.example'], img[src*='evil.example']").count() == 0, where
        browser.close()
    assert [one for one in asked if "evil.example" in one] == []
