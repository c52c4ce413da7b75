"""Pages in headless Chromium: decide, return, save, without JavaScript, narrow, and the pictures of the docs."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from deployments.ports import free_port
from models.actions.signing import load_link
from models.actions.views import change_show
from models.settings import Settings
from models.store.database import Database
from models.store.outbox import SqlOutbox
from notifications.deliverer import Claimed
from notifications.links import load_secrets, make_token
from portal.app import create_app
from portal.language import with_language
from portal.pages import law_address
from tests.factories import LAW, LAW_CHANGE, OLD, small_office
from tests.stories.driver import Story
from tests.system import until

pytestmark = pytest.mark.browser
PICTURES = Path(__file__).resolve().parent.parent.parent / "docs" / "pictures"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The machine's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium not found")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--accept-lang=zh-CN"])
        yield browser
        browser.close()


@dataclass
class Site:
    """The portal at a real address over the small office."""

    address: str
    story: Story
    secrets: tuple[str, dict[str, bytes]]

    def links(self) -> dict[str, str]:
        """The newest link of everybody who has something to read."""
        outbox, found = SqlOutbox(self.story.db, self.secrets[0], Claimed), {}
        while batch := outbox.claim(self.story.now, 50, 60):
            for claimed in batch:
                row = load_link(self.story.db, link_id=claimed.link_id)
                way = "s" if row["purpose"] == "sign_in" else "d"
                found[claimed.person_id] = f"{self.address}/{way}/{make_token(row, self.secrets[1])}"
                outbox.accepted(claimed.id, self.story.now)
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Served by a real server in a thread."""
    db = Database(f"sqlite:///{tmp_path}/x.db")
    story = Story(db)
    small_office(db, story.now)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    secrets = load_secrets(tmp_path)

    def now() -> datetime:
        return story.now

    app = create_app(
        db=db, settings=Settings(home=tmp_path, portal_url=address, collect_minutes=0), secrets=secrets,
        start=lambda change: None, wake=lambda change: None, missing=list, now=now,
    )  # fmt: skip
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield Site(address, story, secrets)
    server.should_exit = True
    thread.join(10)
    db.close()


@contextmanager
def quiet(browser: Browser, site: Site, **options: Any) -> Iterator[BrowserContext]:
    """A browser that fails on a console error and on any request to another host."""
    context = browser.new_context(**options)
    faults: list[str] = []

    def said(message: Any) -> None:
        # A refusal is an answer like any other: the browser notes its status.
        if message.type == "error" and "status of 422" not in message.text:
            faults.append(message.text)

    context.on("console", said)
    context.on("weberror", lambda error: faults.append(str(error.error)))
    context.on("request", lambda request: None if request.url.startswith(site.address) else faults.append(request.url))
    yield context
    context.close()
    assert not faults


def reviewing(site: Site) -> str:
    """The legality reviewer's link."""
    site.story.start("law_change", LAW_CHANGE)
    site.story.says("p-zhou", "confirm")
    site.story.says("p-he", "submit")
    site.story.says("p-zhou", "pass", only="form")
    site.story.later(minutes=1)
    return site.links()["p-lu"]


@pytest.mark.parametrize("javascript", [True, False])
def test_a_reviewer_returns_one_item_and_passes_the_rest(chromium: Browser, site: Site, javascript: bool) -> None:
    link = reviewing(site)
    with quiet(chromium, site, java_script_enabled=javascript) as context:
        page = context.new_page()
        page.goto(link)
        assert "待您审查" in page.title()
        first = page.locator("article.adj").first
        first.get_by_label("退回…").check()
        first.get_by_label("意见说明").fill("引用须写到款。")
        page.locator("fieldset[id^=whole-]").get_by_label("通过").check()
        page.get_by_role("button", name="提交意见").click()
        page.get_by_text("已记录：").wait_for()
        assert "目前没有待您办理的事项" in page.locator("main").inner_text()
    made = change_show(site.story.db, change_id=site.story.change_id, now=site.story.now)["decisions"][-1]
    assert (made["verdict"], made["person"]["id"], made["via"]) == ("pass", "p-lu", "link")


def test_a_verdict_that_is_missing_keeps_what_was_typed_and_leads_to_the_place(chromium: Browser, site: Site) -> None:
    link = reviewing(site)
    with quiet(chromium, site) as context:
        page = context.new_page()
        page.goto(link)
        page.locator("article.adj").first.get_by_label("意见说明").fill("写了一半")
        page.get_by_role("button", name="提交意见").click()
        page.locator("#errors").wait_for()
        assert page.title().startswith("错误：")
        assert page.locator("article.adj").first.get_by_label("意见说明").input_value() == "写了一半"
        page.locator("#errors a").first.click()
        assert page.url.split("#")[1].startswith("whole-")


@pytest.mark.parametrize("javascript", [True, False])
def test_a_drafter_saves_edits_and_submits(chromium: Browser, site: Site, javascript: bool) -> None:
    site.story.start("law_change", LAW_CHANGE)
    site.story.says("p-zhou", "confirm")
    link = site.links()["p-he"]
    with quiet(chromium, site, java_script_enabled=javascript) as context:
        page = context.new_page()
        page.goto(link)
        quoted = page.get_by_label("条文内容").first
        quoted.fill("改过的条文")
        page.get_by_role("button", name="暂存").click()
        page.get_by_text("已暂存，尚未提交").wait_for()
        assert page.get_by_label("条文内容").first.input_value() == "改过的条文"
        site.story.later(seconds=5)
        page.get_by_role("button", name="提交 2 项").click()
        page.get_by_text("已记录：提交").wait_for()


def pages(site: Site, page: Page) -> list[str]:
    """Signs in and gives the address of every kind of page."""
    desk = reviewing(site)
    page.goto(f"{site.address}/sign-in")
    page.get_by_label("工作邮箱").fill("p-zhou@shili.example")
    page.get_by_role("button", name="发送登录链接").click()
    # The page answers before the address is looked up.
    page.goto(until(lambda: site.links().get("p-zhou"), 30, "the sign-in mail") or "")
    page.get_by_role("button", name="登录").click()
    change = f"/changes/{site.story.change_id}"
    paths = ["/board", change, "/start", "/start/law_change", "/start/agency_request", "/items", "/i/990100342001",
             "/laws", law_address(LAW), law_address(LAW, OLD, 3), "/mailbox", "/nothing"]  # fmt: skip
    return [desk, *(site.address + path for path in paths)]


def test_an_article_is_read_and_followed_into_the_next_text_without_javascript(chromium: Browser, site: Site) -> None:
    options: dict[str, Any] = {"java_script_enabled": False, "viewport": {"width": 320, "height": 640}}
    with quiet(chromium, site, **options) as context:
        page = context.new_page()
        page.goto(f"{site.address}/laws")
        page.get_by_role("link", name=LAW).click()
        page.get_by_label("库中的文本").get_by_role("link").click()
        page.get_by_role("link", name="第三条").first.click()
        assert page.locator("h1").inner_text() == f"《{LAW}》第三条"
        page.get_by_role("link", name="新文本").click()
        assert "在上一文本" in page.locator("main").inner_text()
    with quiet(chromium, site, viewport={"width": 320, "height": 640}) as context:
        page = context.new_page()
        page.goto(site.address + law_address(LAW, OLD, 3))
        assert page.get_by_text("前后文本").count() == 1


def test_no_page_scrolls_sideways_on_a_narrow_screen(chromium: Browser, site: Site) -> None:
    context = chromium.new_context(viewport={"width": 320, "height": 640})
    page = context.new_page()
    for address in pages(site, page):
        for code in ("zh", "en"):
            page.goto(with_language(address, code))
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 320, (address, code, width)
    context.close()


def test_the_language_is_switched_without_javascript_and_kept_while_going_on(chromium: Browser, site: Site) -> None:
    with quiet(chromium, site, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site.address}/items?q=%E7%99%BB%E8%AE%B0")
        page.get_by_role("link", name="English").click()
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.get_by_label("Name or code").input_value() == "登记"
        page.get_by_role("button", name="Search").click()
        assert page.locator("h1").inner_text() == "Catalogue"
        page.get_by_role("link", name="Laws").click()
        assert page.locator("h1").inner_text() == "Laws"
        page.get_by_role("link", name="中文").click()
        assert page.locator("h1").inner_text() == "法规库"


def test_the_keyboard_skips_to_the_text_and_every_field_has_a_name(chromium: Browser, site: Site) -> None:
    with quiet(chromium, site) as context:
        page = context.new_page()
        page.goto(reviewing(site))
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "跳到正文"
        nameless = page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]),select,textarea')]"
            ".filter(e => !e.labels.length && !e.getAttribute('aria-label')).map(e => e.name)"
        )
        assert nameless == []


def test_the_pictures_of_the_docs_are_taken_from_the_pages(chromium: Browser, site: Site) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    addresses = pages(site, page)
    wanted = {"desk": addresses[0], "board": addresses[1], "change": addresses[2], "item": addresses[7]}
    for name, address in wanted.items():
        answer = page.goto(address)
        assert answer is not None and answer.status == 200
        if os.environ.get("SHIXIANG_WRITE_DOCS"):
            PICTURES.mkdir(exist_ok=True)
            page.screenshot(path=PICTURES / f"{name}.png")
        assert (PICTURES / f"{name}.png").is_file()
    page.goto(f"{site.address}/start/law_change?law={LAW_CHANGE['law']}")
    page.get_by_role("button", name="预览涉及范围").click()
    assert "波及 4 项" in page.locator("main").inner_text()
    if os.environ.get("SHIXIANG_WRITE_DOCS"):
        page.screenshot(path=PICTURES / "start.png")
    context.close()


def test_a_scanner_that_runs_scripts_and_follows_every_link_decides_nothing(chromium: Browser, site: Site) -> None:
    """Mail gateways open links in a real browser, wait, scroll, and open what the page links to; they press nothing."""
    link = reviewing(site)
    before = change_show(site.story.db, change_id=site.story.change_id, now=site.story.now)
    told: list[str] = []
    with quiet(chromium, site) as context:
        context.on("request", lambda request: told.append(request.headers.get("referer", "")))
        page = context.new_page()
        page.goto(link, wait_until="networkidle")
        page.evaluate("document.querySelectorAll('a,button,input,textarea').forEach(e => { e.focus(); e.blur(); })")
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        page.evaluate("window.dispatchEvent(new Event('pagehide'))")
        for address in sorted(set(page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)"))):
            if address.startswith(site.address) and "#" not in address:
                page.goto(address)
        page.goto(link + "?verdict=pass&request_id=scan")
        page.reload()
        page.go_back()
        page.goto(link)
        page.locator("a[href^='/changes/']").first.click()
    assert change_show(site.story.db, change_id=site.story.change_id, now=site.story.now) == before
    assert len(told) > 5 and not [one for one in told if "/d/" in one], "a link never leaves as a Referer"
