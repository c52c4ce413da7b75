"""Two people at two browsers, through two portals on one office: one effect, a friendly answer, and never a 5xx.

The engine's part is played by legs of this process; Prefect is away, as a race does not need it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from deployments.ports import free_port
from models.actions.signing import ask_sign_in
from models.actions.tokens import issue
from models.store.change import CHANGE
from models.store.database import Database
from models.store.migrate import migrate
from models.store.outbox import LINK, live_link
from notifications.links import load_secrets, make_token
from tests.conftest import emptied
from tests.factories import LAW_CHANGE, small_office
from tests.faults.standing import faults, settle
from tests.portal.test_desk import fields_of
from tests.stories.driver import Story
from tests.system import ROOT, until

ROUNDS = 2
JSON = {"Accept": "application/json"}
ITEM = "990700188000"
Answer = httpx2.Response


@dataclass
class Office:
    """One office behind two portals."""

    db: Database
    home: Path
    portals: list[str]

    def change(self) -> Story:
        """A change before its legality and list reviewers."""
        wanted = {"target": {"kind": "item", "code": ITEM}, "outcomes": ["change_basis"], "set": {}}
        story = Story(self.db, now=datetime.now(UTC) - timedelta(minutes=10))
        story.start("agency_request", {"title": "更正依据", "reason": "", "effective_on": None, "items": [wanted]})
        story.says("p-wen", "submit")
        story.says("p-zhou", "pass", only="form")
        return story

    def desk(self, story: Story, person: str) -> str:
        """The path of a person's desk."""
        secrets = load_secrets(self.home)
        with self.db.writer() as connection:
            row = live_link(
                connection, person_id=person, change_id=story.change_id, key_id=secrets[0], now=datetime.now(UTC)
            )
        return f"/d/{make_token(row, secrets[1])}"

    def at_once(self, *requests: Callable[[httpx2.Client], Answer]) -> list[Answer]:
        """The requests at the same moment, each by its own browser at its own portal; the answers in their order."""
        together = threading.Barrier(len(requests))
        answers: dict[int, Answer] = {}

        def send(number: int) -> None:
            address = self.portals[number % len(self.portals)]
            with httpx2.Client(base_url=address, timeout=60, trust_env=False) as client:
                client.get("/sign-in")
                together.wait(30)
                answers[number] = requests[number](client)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(len(requests))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        found = [answers[number] for number in range(len(requests))]
        assert [answer.status_code for answer in found if answer.status_code >= 500] == [], found[0].text
        return found

    def whole(self, story: Story) -> None:
        """The engine takes up what came, and everything holds."""
        assert faults(self.db, settled=False) == []
        settle(self.db, [story.change_id], datetime.now(UTC))
        assert faults(self.db) == []


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def office(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The small office with two portals."""
    home: Path = tmp_path_factory.mktemp("portals")
    url = f"sqlite:///{home / 'office.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_address")
        emptied(url).close()
    db = Database(url)
    migrate(db)
    small_office(db, datetime(2026, 1, 5, tzinfo=UTC), schema=False)
    load_secrets(home)
    processes, portals = [], []
    for _ in range(2):
        port = free_port()
        environment = {
            **os.environ,
            "SHIXIANG_HOME": str(home),
            "SHIXIANG_DATABASE_URL": url,
            "SHIXIANG_PORTAL_PORT": str(port),
            "SHIXIANG_PREFECT_PORT": str(free_port()),
        }
        with (home / f"portal-{port}.log").open("ab") as log:
            arguments = [sys.executable, "-m", "deployments.portal_server"]
            processes.append(subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=log, stderr=log))
        portals.append(f"http://127.0.0.1:{port}")
    try:
        for address in portals:
            until(lambda address=address: _answers(address), 90, "the portal")  # type: ignore[misc]
        yield Office(db, home, portals)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)
        db.close()


def _answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/sign-in", timeout=5, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


def said(story: Story, person: str, verdict: str, request: str, comment: str = "") -> dict[str, Any]:
    """A submission on what lies open for a person."""
    return {
        "request_id": request,
        "decisions": [
            {"assignment": a["id"], "revision": a["revision"], "verdict": verdict, "comment": comment}
            for a in story.open_for(person)
        ],
    }


def posts(path: str, body: dict[str, Any]) -> Callable[[httpx2.Client], Answer]:
    return lambda client: client.post(path, json=body, headers=JSON)


def test_one_person_at_two_browsers_decides_once_and_hears_so(office: Office) -> None:
    for number in range(ROUNDS):
        story = office.change()
        desk = office.desk(story, "p-gao")
        bodies = [said(story, "p-gao", v, f"{v}-{number}", "依据有误") for v in ("pass", "return")]
        answers = office.at_once(*(posts(desk, body) for body in bodies))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        lost = next(answer.json() for answer in answers if answer.status_code == 409)
        assert lost["error"] == "already_decided"
        assert lost["message"].startswith("您已于")
        office.whole(story)


def test_a_double_click_gets_one_answer_twice(office: Office) -> None:
    for number in range(ROUNDS):
        story = office.change()
        desk = office.desk(story, "p-gao")
        body = said(story, "p-gao", "pass", f"click-{number}")
        answers = office.at_once(*[posts(desk, body)] * 4)
        assert [answer.status_code for answer in answers] == [200] * 4
        assert len({answer.text for answer in answers}) == 1
        office.whole(story)


def test_a_double_click_on_the_form_leads_to_the_same_page_twice(office: Office) -> None:
    story = office.change()
    desk = office.desk(story, "p-gao")
    page = httpx2.get(office.portals[0] + desk, timeout=30, trust_env=False).text
    fields = fields_of(page)
    choice = next(name for name in re.findall(r'name="(verdict-asg-[^"]*)"', page))
    fields[choice] = "pass"
    answers = office.at_once(*[lambda client: client.post(desk, data=fields)] * 2)
    assert [answer.status_code for answer in answers] == [303, 303]
    assert len({answer.headers["location"] for answer in answers}) == 1
    office.whole(story)


def test_the_slower_of_two_holders_of_a_seat_reads_who_was_faster(office: Office) -> None:
    for number in range(ROUNDS):
        story = office.change()
        requests = []
        for person, verdict in (("p-lu", "pass"), ("p-ding", "return")):
            desk = office.desk(story, person)
            fields = fields_of(httpx2.get(office.portals[0] + desk, timeout=30, trust_env=False).text)
            assignment = story.open_for(person)[0]["id"]
            fields |= {
                f"verdict-{assignment}": verdict,
                f"comment-{assignment}": "依据有误",
                "request_id": f"s-{number}",
            }
            requests.append(lambda client, desk=desk, fields=fields: client.post(desk, data=fields))
        answers = office.at_once(*requests)
        assert sorted(answer.status_code for answer in answers) == [303, 409]
        lost = next(answer.text for answer in answers if answer.status_code == 409)
        assert re.search("该件已由(陆清|丁一鸣)于", lost)
        office.whole(story)


def test_a_return_and_a_pass_of_one_group_are_both_taken(office: Office) -> None:
    for number in range(ROUNDS):
        story = office.change()
        answers = office.at_once(
            posts(office.desk(story, "p-lu"), said(story, "p-lu", "return", f"r-{number}", "依据有误")),
            posts(office.desk(story, "p-gao"), said(story, "p-gao", "pass", f"p-{number}")),
        )
        assert [answer.status_code for answer in answers] == [200, 200]
        office.whole(story)
        assert [(a["stage"], a["round"]) for a in story.open_for("p-wen")] == [("draft", 2)]


def test_deciding_and_withdrawing_at_once_leave_a_withdrawn_change(office: Office) -> None:
    secrets = load_secrets(office.home)
    for number in range(ROUNDS):
        story = office.change()
        session, mark = _signed_in(office, secrets)
        form = {"csrf": mark, "reason": "不再需要"}

        def withdraw(
            client: httpx2.Client, session: str = session, form: dict[str, str] = form, change: str = story.change_id
        ) -> Answer:
            client.cookies.set("shixiang_session", session)
            return client.post(f"/changes/{change}/withdraw", data=form)

        decided, withdrawn = office.at_once(
            posts(office.desk(story, "p-gao"), said(story, "p-gao", "pass", f"w-{number}")), withdraw
        )
        assert withdrawn.status_code == 303, withdrawn.text
        assert decided.status_code in {200, 409}
        if decided.status_code == 409:
            assert decided.json()["error"] == "superseded"
            assert "撤回" in decided.json()["message"]
        office.whole(story)


def test_one_sign_in_link_signs_in_one_browser(office: Office) -> None:
    secrets = load_secrets(office.home)
    for _ in range(ROUNDS):
        way = _sign_in_link(office, secrets)
        answers = office.at_once(*[lambda client, way=way: client.post(way)] * 2)
        assert sorted(answer.status_code for answer in answers) == [303, 410]
        lost = next(answer for answer in answers if answer.status_code == 410)
        assert "该登录链接已使用" in lost.text


def test_two_starts_of_one_law_change_are_one_change(office: Office) -> None:
    _, token = issue(office.db, person="p-zhou", scopes=["start"], expires=None, now=datetime.now(UTC))
    body = {"trigger": "law_change", "params": LAW_CHANGE}
    headers = {"Authorization": f"Bearer {token}"}
    answers = office.at_once(*[lambda client: client.post("/api/v1/changes", json=body, headers=headers)] * 4)
    assert {answer.status_code for answer in answers} <= {200, 201, 202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.json()["existing"] for answer in answers) == [False, True, True, True]
    with office.db.reader() as connection:
        standing = connection.execute(select(CHANGE.c.id).where(CHANGE.c.trigger == "law_change")).scalars().all()
    assert list(standing) == [answers[0].json()["id"]]


def _sign_in_link(office: Office, secrets: tuple[str, Any], person: str = "p-zhou") -> str:
    ask_sign_in(office.db, address=f"{person}@shili.example", key_id=secrets[0], now=datetime.now(UTC))
    with office.db.reader() as connection:
        query = select(LINK).where(LINK.c.purpose == "sign_in").order_by(LINK.c.created_at.desc())
        row = connection.execute(query).mappings().first()
    assert row is not None
    return f"/s/{make_token(dict(row), secrets[1])}"


def _signed_in(office: Office, secrets: tuple[str, Any]) -> tuple[str, str]:
    """The session of the coordinator and the mark of its forms."""
    with httpx2.Client(base_url=office.portals[0], timeout=30, trust_env=False) as client:
        assert client.post(_sign_in_link(office, secrets)).status_code == 303
        session = client.cookies["shixiang_session"]
        page = client.get("/start/law_change").text
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert found is not None
    return session, found.group(1)
