"""Hostile texts through every way out: pages in both languages, forms after a refusal, mails on the wire, the run's page."""

from __future__ import annotations

import logging
import re
from email import message_from_bytes, policy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import text

from deployments.ports import free_port
from models.actions.desk import desk
from models.actions.views import status_page
from models.domain.content import ItemContent
from notifications.channel import MailChannel
from notifications.deliverer import headers
from notifications.render import kinds, render
from portal.pages import law_address
from tests.factories import LAW, LAW_CHANGE, NEW, OLD
from tests.hostile import HOSTILE
from tests.portal.conftest import Office
from tests.portal.test_desk import body, fields_of
from tests.unit.test_wording import payload

#: What our pages consist of. Anything else came in with a text.
_TAGS = """
html head meta title link body a header div p nav ul ol li main footer h1 h2 h3 h4 h5 section article table caption colgroup
col thead tbody tr th td form input textarea select option optgroup button label fieldset legend span strong b em del ins br
hr dl dt dd details summary small time blockquote code bdi abbr datalist pre
"""
_ATTRIBUTES = """
lang charset name content rel href type class id action method value tabindex role scope colspan rowspan for open checked
selected required disabled rows cols maxlength minlength autocomplete inputmode datetime hreflang target multiple size
placeholder title pattern min max step novalidate formnovalidate form formaction list hidden readonly reversed
"""
TAGS, ATTRIBUTES = frozenset(_TAGS.split()), frozenset(_ATTRIBUTES.split())


class Reader(HTMLParser):
    """Notes every tag, attribute and address of a page, and the text as it is read."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.strange: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.strange.append(f"<{tag} {attrs}>")
        for name, value in attrs:
            if name not in ATTRIBUTES and not name.startswith(("data-", "aria-")):
                self.strange.append(f"{tag} {name}={value!r}")
            if name in ("href", "action", "formaction", "src") and not re.match(
                r"(/(?!/)|#|\?|http://(testserver|127\.0\.0\.1)[:/])", value or ""
            ):
                self.strange.append(f"{tag} {name}={value!r}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.strange.append(f"<!--{data}-->")


def read(page: str) -> Reader:
    found = Reader()
    found.feed(page)
    found.close()
    assert not found.strange, found.strange[:5]
    return found


ALL = "".join(HOSTILE)


@pytest.fixture
def poisoned(office: Office) -> Office:
    """Every text that comes from outside is hostile: people, departments, law, articles, items, title, reason, remarks."""
    with office.story.db.writer() as connection:
        for statement in (
            "update person set name = :t || name",
            "update department set short = :t || short, full = :t || full",
            "update article set text = :t || text",
        ):
            connection.execute(text(statement), {"t": ALL})
        connection.execute(text("update item_version set name = :t || name"), {"t": ALL[:900]})
    office.story.start("law_change", {**LAW_CHANGE, "title": ALL[:118], "reason": ALL[:1900]})
    return office


def test_every_page_shows_hostile_texts_as_texts_in_both_languages(poisoned: Office) -> None:
    office = poisoned
    coordinators = office.newest_link("p-zhou")
    office.sign_in()
    change = office.story.change_id
    lines = {
        one["id"]: {"verdict": "take_out", "remark": ALL}
        for one in office.story.open_for("p-zhou")[0]["adjustments"][:1]
    }
    office.story.says("p-zhou", "confirm", comment=ALL, lines=lines)
    drafts = office.story.open_for("p-he")[0]["adjustments"]
    office.story.says("p-he", "submit", comment=ALL, lines={one["id"]: {"remark": ALL} for one in drafts})
    office.story.says("p-zhou", "return", comment=ALL, only="form")
    pages = [
        "/", "/items", f"/items?q={'%3Cscript%3E'}", "/i/990100342001", "/laws", f"/laws?q={'%22%3E%3Cimg'}", "/board",
        law_address(LAW), law_address(LAW, NEW), law_address(LAW, OLD, 3),
        f"/board?q={'%27%3E%3Csvg'}", f"/changes/{change}", "/start", "/start/law_change", "/start/agency_request", "/sign-in",
        "/nothing/%3Cscript%3E", f"/changes/{'%3Cscript%3E'}", office.newest_link("p-he"), coordinators,
        office.newest_link("p-wen"), "/mailbox",
    ]  # fmt: skip
    for path in pages:
        for language in ("zh", "en"):
            answer = office.client.get(path + ("&" if "?" in path else "?") + f"lang={language}")
            assert answer.status_code in (200, 303, 404, 422), path
            read(answer.text)
    shown = "".join(read(office.client.get(office.newest_link("p-he")).text).text)
    assert "<script>alert(1)</script>" in shown and "{{ 7 * 7 }}" in shown and "49" not in shown


def test_a_refused_form_gives_back_hostile_texts_as_texts(poisoned: Office) -> None:
    office = poisoned
    office.story.says("p-zhou", "confirm")
    link, lies = office.newest_link("p-he"), office.desk("p-he")
    form = {name: ALL if not name.startswith(("revision-", "shown-", "request")) else value
            for name, value in fields_of(office.client.get(link).text).items()}  # fmt: skip
    form[f"verdict-{lies['assignments'][0]['id']}"] = ALL
    answer = office.client.post(link, data=form)
    assert answer.status_code == 422
    read(answer.text)
    office.sign_in()
    csrf = office.csrf("/board")
    for path in ("/start/law_change", "/start/agency_request", f"/changes/{office.story.change_id}/reassign",
                 f"/changes/{office.story.change_id}/urge", "/sign-in"):  # fmt: skip
        names = ("title", "law", "from_version", "to_version", "effective_on", "reason", "to", "step", "adjustment", "email",
                 "code-0", "outcome-0", "until-0", "do")  # fmt: skip
        answer = office.client.post(path, data={"csrf": csrf, **dict.fromkeys(names, ALL)})
        assert 400 <= answer.status_code < 500, (path, answer.status_code)
        read(answer.text)


def test_json_carries_hostile_texts_unchanged(poisoned: Office) -> None:
    office = poisoned
    office.story.says("p-zhou", "confirm")
    lies = office.desk("p-he")
    answer = office.client.post(office.newest_link("p-he"), json=body(lies, "decline", comment=ALL))
    assert answer.status_code == 200
    answer = office.client.get(office.newest_link("p-he"), headers={"Accept": "application/json"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["change"]["title"] == ALL[:118]


class Wire:
    """Keeps what arrives at a mail server, with its envelope."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(envelope)
        return "250 OK"


def poison(value: Any) -> Any:
    """Every text of a payload made hostile."""
    if isinstance(value, str):
        return ALL + value
    if isinstance(value, dict):
        return {key: poison(inner) for key, inner in value.items()}
    return [poison(inner) for inner in value] if isinstance(value, list) else value


LINK = "http://127.0.0.1:8080/d/abc.def"


@pytest.fixture
def wire() -> Any:
    keeper = Wire()
    server = Controller(keeper, hostname="127.0.0.1", port=free_port())
    server.start()
    yield keeper, MailChannel(f"mailto://127.0.0.1:{server.port}?from=shixiang@localhost.local&mode=insecure")
    server.stop()


def test_a_mail_has_one_receiver_its_own_headers_and_one_link_whatever_its_texts_say(wire: Any) -> None:
    keeper, channel = wire
    for kind in kinds():
        message = render(kind, poison(payload(acting_for={"name": "x"}, sample=False)), LINK)
        assert len(message.subject.splitlines()) == 1
        sent = channel.send(
            to="lu@shili.example", subject=message.subject, body=message.body, reply_to="zhou@shili.example",
            headers={"X-Shixiang-Notice": "ntc-1", "X-Shixiang-Kind": kind},
        )  # fmt: skip
        assert sent.kind == "accepted", (kind, sent.error)
        envelope = keeper.mails[-1]
        assert envelope.rcpt_tos == ["lu@shili.example"]
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert mail["To"].addresses[0].addr_spec == "lu@shili.example" and len(mail.get_all("To", [])) == 1
        assert mail["Bcc"] is None and mail["Cc"] is None and len(mail.get_all("Subject", [])) == 1
        assert {name.lower() for name in mail} <= {
            "subject", "from", "to", "message-id", "date", "x-application", "content-type", "mime-version", "reply-to",
            "content-transfer-encoding", "x-shixiang-notice", "x-shixiang-kind", "cc",
        }, sorted(mail)  # fmt: skip
        assert mail.get_content_type() == "text/plain", "no part of a mail is HTML"
        lines = mail.get_content().splitlines()
        alone = [line for line in lines if re.fullmatch(r"\s*https?://\S+\s*", line)]
        assert set(alone) <= {LINK}
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", "\n".join(lines))


@pytest.mark.parametrize("address", [text for text in HOSTILE if text.strip()])
def test_no_hostile_text_is_an_address_to_send_to(wire: Any, address: str) -> None:
    keeper, channel = wire
    outcome = channel.send(to=address, subject="x", body="y", headers={}, reply_to=address)
    assert (outcome.kind, keeper.mails) == ("permanent", [])


def test_headers_of_a_mail_hold_ids_alone(poisoned: Office) -> None:
    poisoned.deliver()
    for claimed, _ in poisoned.mails:
        for name, value in headers(claimed).items():
            assert re.fullmatch(r"[A-Za-z0-9_:-]+", value), (name, value)


def test_the_page_in_prefect_holds_no_mark_of_a_hostile_text(poisoned: Office) -> None:
    office = poisoned
    office.story.says("p-zhou", "confirm", comment=ALL)
    page = status_page(
        office.story.db, change_id=office.story.change_id, portal_url="http://testserver", now=office.story.now
    )
    assert len(page.run_name.splitlines()) == 1 and len(page.description.splitlines()) == 1
    assert not re.search(r"[\x00-\x1f\u202e]", page.run_name)
    assert page.markdown.count("```") == 2, "the diagram alone"
    assert re.findall(r"(?<!\\)\]\((\S+?)\)", page.markdown) == [f"http://testserver/changes/{office.story.change_id}"]
    bare = re.sub(r"\]\(\S+?\)", "", page.markdown)
    assert not re.search(r"(?<!\\)!\[", bare) and "<" not in bare.replace("<br>", "")
    assert not re.search(r"(?<!\u2060)://|www\.", bare)


SAFE = {
    "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
}  # fmt: skip


def test_every_answer_of_every_route_carries_the_headers_that_keep_it_to_itself(office: Office) -> None:
    office.story.start("law_change", LAW_CHANGE)
    link = office.newest_link("p-zhou")
    office.sign_in()
    from starlette.routing import Route

    paths = set()
    for route in every_route(office.client.app):
        filled = re.sub(r"\{token\}", link.removeprefix("/d/"), route.path)
        paths.add(re.sub(r"\{[^}]*\}", "x", filled))
    assert {"/", "/board", "/healthz", "/robots.txt", link, "/mailbox", "/api/v1/openapi.json"} <= paths
    paths |= {"/nothing", "/static/style.css", "/static/none.css", "/static/../x", f"/i/{'9' * 12}", "/d/x", "/s/x"}
    for path in sorted(paths):
        for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
            answer = office.client.request(method, path, follow_redirects=False)
            found = answer.headers
            assert answer.status_code < 500, (method, path)
            for name, value in SAFE.items():
                assert found.get(name) == value, (method, path, name)
            policy_ = found["Content-Security-Policy"]
            assert "default-src 'self'" in policy_ and "unsafe" not in policy_ and "frame-ancestors 'none'" in policy_
            if not path.startswith("/static/"):
                assert found["Cache-Control"] == "no-store", (method, path)
                assert "Accept" in [one.strip() for one in found["Vary"].split(",")], (method, path)
            assert ("server" not in found and "set-cookie" not in found) or path.startswith("/sign")
            for page in ("location",):
                assert link.removeprefix("/d/") not in found.get(page, "") or path.startswith(link)
    assert isinstance(next(iter(every_route(office.client.app))), Route)


def every_route(app: Any) -> list[Any]:
    """The routes of the application, those of its routers too."""
    found: list[Any] = []
    for route in app.routes:
        inner = getattr(route, "routes", None) or getattr(getattr(route, "original_router", None), "routes", None)
        found += (
            [one for one in inner if hasattr(one, "path")] if inner else [route] if hasattr(route, "methods") else []
        )
    return found


def test_a_fault_of_ours_carries_them_too_and_tells_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*parts: Any, **named: Any) -> Any:
        raise RuntimeError("secret detail\nforged")

    monkeypatch.setattr("models.actions.views.catalogue_page", broken)
    for accept in ("text/html", "application/json"):
        answer = office.client.get("/items", headers={"Accept": accept})
        assert answer.status_code == 500
        assert "secret detail" not in answer.text and "Traceback" not in answer.text
        assert {name: answer.headers.get(name) for name in SAFE} == SAFE
        assert answer.headers["Cache-Control"] == "no-store"


def test_the_access_log_holds_no_token_and_no_forged_line(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    office.story.start("law_change", LAW_CHANGE)
    link = office.newest_link("p-zhou")
    with caplog.at_level(logging.INFO, logger="shixiang.access"):
        office.client.get(link)
        office.client.post(link + "/code")
        office.client.get("/i/x%0a2026-11-23%20shixiang.access%20INFO%20forged%0d%1b[2J")
        office.client.get(link + "?lang=en")
    assert link.removeprefix("/d/") not in caplog.text
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0].startswith("GET /d/… 200 ")
    assert messages[1].startswith("POST /d/…/code ")
    assert all(len(one.splitlines()) == 1 and "\x1b" not in one for one in messages)


def test_a_hostile_item_is_valid_content_or_refused_and_never_a_fault() -> None:
    for one in HOSTILE:
        made = ItemContent.model_validate({"name": one, "type": "01", "conditions": one, "extra": {one: one}})
        assert ItemContent.model_validate_json(made.model_dump_json()) == made


def test_the_desk_of_a_hostile_office_is_still_a_desk(poisoned: Office) -> None:
    found = desk(poisoned.story.db, person_id="p-zhou", change_id=poisoned.story.change_id, now=poisoned.story.now)
    assert found["person"]["name"] == ALL + "周敏"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "mailbox").mkdir(exist_ok=True)
