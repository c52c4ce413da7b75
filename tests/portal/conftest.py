"""The portal over the small office, without Prefect: the engine's part is played by a story's legs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from models.actions.proving import code_row
from models.actions.signing import load_link
from models.settings import Settings
from models.store.database import Database
from models.store.outbox import SqlOutbox
from notifications.deliverer import Claimed
from notifications.links import load_secrets, make_code, make_token
from notifications.render import Message, render
from portal.app import create_app
from tests.factories import small_office
from tests.law_office import law_office
from tests.stories.driver import Story


@dataclass
class Office:
    """The portal's client, the story behind it, and the mails it would send."""

    client: TestClient
    story: Story
    settings: Settings
    secrets: tuple[str, dict[str, bytes]]
    mails: list[tuple[Claimed, Message]] = field(default_factory=list)
    woken: list[str] = field(default_factory=list)

    def deliver(self) -> None:
        """Everything that is due leaves the outbox."""
        outbox = SqlOutbox(self.story.db, self.secrets[0], Claimed)
        while batch := outbox.claim(self.story.now, 50, 60):
            for claimed in batch:
                self.mails.append((claimed, render(claimed.kind, claimed.payload, self.link(claimed), claimed.repeat)))
                outbox.accepted(claimed.id, self.story.now)

    def link(self, claimed: Claimed) -> str | None:
        if claimed.link_id is None:
            return None
        if claimed.kind == "code":
            return make_code(code_row(self.story.db, code_id=claimed.link_id), self.secrets[1])
        row = load_link(self.story.db, link_id=claimed.link_id)
        way = "s" if row["purpose"] == "sign_in" else "d"
        return f"http://testserver/{way}/{make_token(row, self.secrets[1])}"

    def newest_link(self, person: str) -> str:
        """The path of the link in the newest mail to a person."""
        self.deliver()
        for claimed, message in reversed(self.mails):
            found = re.search(r"^http://testserver(/\S+)$", message.body, re.MULTILINE)
            if claimed.person_id == person and found:
                return found.group(1)
        raise AssertionError(f"no mail with a link to {person}")

    def desk(self, person: str) -> dict[str, Any]:
        """The desk of a person as JSON."""
        answer = self.client.get(self.newest_link(person), headers={"Accept": "application/json"})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def sign_in(self, address: str = "p-zhou@shili.example", person: str = "p-zhou") -> None:
        """Sign in through the mailed link."""
        assert self.client.post("/sign-in", data={"email": address}).status_code == 200
        assert self.client.post(self.newest_link(person)).status_code == 200

    def csrf(self, path: str) -> str:
        """The mark of the session's forms, read from a page."""
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', self.client.get(path).text)
        assert found is not None
        return found.group(1)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """The small office on SQLite in memory behind the portal."""
    yield from behind_the_portal(tmp_path, small_office)


@pytest.fixture
def law_office_portal(tmp_path: Path) -> Iterator[Office]:
    """The office with a reach of every sort behind the portal."""
    yield from behind_the_portal(tmp_path, law_office)


def behind_the_portal(tmp_path: Path, made: Callable[[Database, datetime], Any]) -> Iterator[Office]:
    """An office on SQLite in memory behind the portal."""
    db = Database("sqlite://")
    story = Story(db)
    made(db, story.now)
    settings = Settings(home=tmp_path, portal_url="http://testserver", collect_minutes=0)
    secrets = load_secrets(tmp_path)
    woken: list[str] = []

    def now() -> datetime:
        return story.now

    app = create_app(
        db=db, settings=settings, secrets=secrets, start=lambda change: None, wake=woken.append, missing=list, now=now
    )
    with TestClient(app) as client:
        yield Office(client, story, settings, secrets, woken=woken)
    db.close()
