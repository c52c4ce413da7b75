"""Ten thousand hostile requests: none decides, none is a fault of ours, none is believed."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from sqlalchemy import func, select, update

from models.actions import tokens
from models.actions.signing import ask_sign_in
from models.settings import Settings
from models.store.change import ASSIGNMENT, DECISION, DECISION_LINE, PROPOSAL, rows
from models.store.database import Database
from models.store.outbox import LINK, live_link, new_link
from models.store.sql import table
from models.tables import Change, ChangeLog, Request, metadata
from notifications.links import load_secrets, make_token
from portal.app import create_app
from portal.limits import Bucket, Limits
from tests.factories import LAW_CHANGE, small_office
from tests.hostile import HOSTILE, UNSTORABLE
from tests.stories.driver import START, Story

PREVIEWS = (
    "Mozilla/5.0 (compatible; MSIE 9.0; SkypeUriPreview)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 MicroMessenger/7.0 WindowsWechat",
)
PREFETCH = (
    {"Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch;prerender"},
    {"X-Moz": "prefetch"},
    {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "no-cors"},
)
Shot = tuple[str, str, dict[str, str], bytes]


@dataclass
class Siege:
    """A portal with one decision given and two desks open, and everything an attacker may hold."""

    db: Database
    app: Any
    change_id: str
    links: dict[str, str]
    desks: dict[str, dict[str, Any]]
    accepted: dict[str, Any]
    key: str
    sign_in: str
    random: random.Random

    def decision(self, person: str, **more: Any) -> dict[str, Any]:
        """A decision that would count if it were sent by its person on what stands."""
        assignment = self.desks[person]["assignments"][0]
        return {"assignment": assignment["id"], "revision": assignment["revision"], "verdict": "pass", **more}

    def body(self, *decisions: dict[str, Any], **more: Any) -> dict[str, Any]:
        request = f"siege-{self.random.getrandbits(64):x}"
        return {"request_id": request, "decisions": list(decisions), **more}


@pytest.fixture
def siege(db: Database, tmp_path: Path) -> Siege:
    """The legality reviewer has passed; the list reviewer's desk and a second legality reviewer's are open."""
    story = Story(db)
    metadata.drop_all(db.engine)
    small_office(db, story.now)
    secrets = load_secrets(tmp_path)
    story.start("law_change", LAW_CHANGE)
    story.says("p-zhou", "confirm")
    dead = story.open_for("p-he")
    story.says("p-he", "submit")
    story.says("p-zhou", "pass", only="form")

    def now() -> datetime:
        return story.now

    loose = Limits(*(Bucket(burst=10**9, a_second=1.0) for _ in range(5)))
    app = create_app(
        db=db, settings=Settings(home=tmp_path, portal_url="http://portal"), secrets=secrets,
        start=lambda change: None, wake=lambda change: None, missing=list, now=now, limits=loose,
    )  # fmt: skip
    links = {}
    with db.writer() as connection:
        for person in ("p-lu", "p-ding", "p-gao", "p-he"):
            row = live_link(connection, person_id=person, change_id=story.change_id, key_id=secrets[0], now=story.now)
            links[person] = make_token(row, secrets[1])
        other = new_link(
            connection, person_id="p-gao", purpose="desk", change_id="another", key_id=secrets[0], now=story.now,
            expires=story.now,
        )  # fmt: skip
        links["dead"] = make_token(other, secrets[1])
    desks = {person: {"assignments": story.open_for(person)} for person in ("p-lu", "p-ding", "p-gao")}
    desks["p-he"] = {"assignments": dead}
    key = tokens.issue(db, person="p-gao", scopes=["read", "start"], expires=None, now=story.now)[1]
    ask_sign_in(db, address="p-gao@shili.example", key_id=secrets[0], now=story.now)
    with db.reader() as connection:
        row = rows(connection, select(LINK).where(LINK.c.purpose == "sign_in"))[0]
    made = Siege(db, app, story.change_id, links, desks, {}, key, make_token(row, secrets[1]), random.Random(20261123))
    made.accepted = made.body(made.decision("p-lu"))
    return made


def standing(db: Database) -> Any:
    """Everything a decision would change."""
    counted = (DECISION, DECISION_LINE, PROPOSAL, table(Request), table(ChangeLog))
    with db.reader() as connection:
        counts = [connection.execute(select(func.count()).select_from(one)).scalar() for one in counted]
        states = rows(connection, select(ASSIGNMENT.c.id, ASSIGNMENT.c.state).order_by(ASSIGNMENT.c.id))
        change = rows(connection, select(table(Change)))
        spent = rows(connection, select(LINK.c.id, LINK.c.spent_at).order_by(LINK.c.id))
    return counts, states, change, spent


JSON = {"Content-Type": "application/json", "Accept": "application/json"}


def sent(link: str, body: Any, **headers: str) -> Shot:
    """A POST of JSON to a desk."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return "POST", f"/d/{link}", {**JSON, **headers}, content


def looks(s: Siege) -> Shot:
    """Previews, prefetches, robots: every way of looking."""
    way = s.random.choice(["GET", "HEAD", "OPTIONS", "HEAD", "OPTIONS"])
    headers = {"User-Agent": s.random.choice(PREVIEWS), **s.random.choice(PREFETCH)}
    where = s.random.choice([f"/d/{s.links['p-gao']}", f"/s/{s.sign_in}"])
    return way, where + s.random.choice(["", "?done=x", "?verdict=pass", "?page=999999999999"]), headers, b""


def methods(s: Siege) -> Shot:
    """Methods nobody offers."""
    way = s.random.choice(["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
    return way, f"/d/{s.links['p-gao']}", dict(JSON), json.dumps(s.body(s.decision("p-gao"))).encode()


def replayed(s: Siege) -> Shot:
    """What was accepted, again."""
    return sent(s.links["p-lu"], s.accepted)


def again(s: Siege) -> Shot:
    """The same decision under a new number, and another under the old number."""
    if s.random.random() < 0.5:
        return sent(s.links["p-lu"], s.body(s.decision("p-lu", verdict="return", comment="x")))
    return sent(s.links["p-lu"], {**s.accepted, "decisions": [s.decision("p-lu", verdict="object", comment="x")]})


def forged(s: Siege) -> Shot:
    """A link that is nearly right."""
    token = s.links["p-gao"]
    place = s.random.randrange(len(token))
    sign = s.random.choice("ABCxyz019-_.é%")
    wrong = token[:place] + sign + token[place + 1 :]
    if wrong == token:
        wrong = token + "A"
    if s.random.random() < 0.2:
        wrong = s.random.choice(["", ".", "a.b", "%00", "%ff%fe", "..%2f..", "A" * 4000, token[:-3], token * 2])
    return sent(wrong.replace("%", "%25", 1) if wrong.endswith("%") else wrong, s.body(s.decision("p-gao")))


def strangers(s: Siege) -> Shot:
    """With another's link."""
    holder, wanted = s.random.choice([("p-lu", "p-gao"), ("p-ding", "p-gao"), ("p-he", "p-gao"), ("dead", "p-gao")])
    if s.random.random() < 0.3:
        return sent(
            s.links[holder], s.body(s.decision("p-ding" if holder != "p-ding" else "p-gao"), s.decision(wanted))
        )
    return sent(s.links[holder], s.body(s.decision(wanted)))


def stale(s: Siege) -> Shot:
    """Another revision, or one made up."""
    revision = s.random.choice(
        ["", "r-0-0", s.desks["p-ding"]["assignments"][0]["revision"][:-1] + "x", "r-" + "f" * 40 + "-x", "x" * 100_000]
    )
    return sent(s.links["p-gao"], s.body(s.decision("p-gao", revision=revision)))


def dead(s: Siege) -> Shot:
    """An assignment that is over, or none, and verdicts of another stage."""
    if s.random.random() < 0.5:
        return sent(s.links["p-he"], s.body(s.decision("p-he", verdict=s.random.choice(["submit", "save", "decline"]))))
    more: dict[str, Any] = s.random.choice(
        [
            {"verdict": "approve"},
            {"verdict": "save"},
            {"verdict": ""},
            {"verdict": "return"},
            {"assignment": "asg-none"},
        ]
    )
    return sent(s.links["p-gao"], s.body(s.decision("p-gao", **more)))


def elsewhere(s: Siege) -> Shot:
    """From another site, and of another kind than it says."""
    body = s.body(s.decision("p-gao"))
    kinds = [
        "text/plain",
        "text/xml",
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "",
    ]
    if s.random.random() < 0.5:
        return sent(s.links["p-gao"], body, **{"Sec-Fetch-Site": s.random.choice(["cross-site", "same-site"])})
    return "POST", f"/d/{s.links['p-gao']}", {"Content-Type": s.random.choice(kinds)}, json.dumps(body).encode()


def malformed(s: Siege) -> Shot:
    """JSON that is none, or more than anybody takes."""
    whole = json.dumps(s.body(s.decision("p-gao"))).encode()
    rubbish: list[Any] = [
        whole[: s.random.randrange(len(whole))],
        b"[" * 50_000,
        b'{"a":' * 20_000,
        b"\xff\xfe\x00" + whole,
        whole.replace(b"pass", b"p\xffss"),
        b'{"request_id": ' + b"9" * 5000 + b"}",
        s.body(s.decision("p-gao", comment=s.random.choice(UNSTORABLE))),
        s.body(s.decision(s.random.choice(["p-gao"]), adjustments={"a\x00": {"remark": "x"}})),
        s.body(s.decision("p-gao", comment="x" * 4001)),
        s.body(*[s.decision("p-gao", assignment=f"a{n}") for n in range(201)]),
        {**s.body(s.decision("p-gao")), "request_id": s.random.choice(["", "x" * 101, 7, None, ["x"], "\x00"])},
        {**s.body(), "decisions": s.random.choice([None, 3, "x", {}, [[]], [None], [{"assignment": {}}]])},
        b'{"request_id": "x", "decisions": [{"assignment": "a", "verdict": "pass", "revision": 1e999}]}',
        b'{"request_id": "x", "decisions": [{"assignment": "a", "verdict": "pass", "adjustments": NaN}]}',
        json.dumps(7).encode(),
        b"",
    ]
    return sent(s.links["p-gao"], s.random.choice(rubbish))


def forms(s: Siege) -> Shot:
    """Forms as no page sends them."""
    assignment = s.desks["p-gao"]["assignments"][0]
    fields: list[tuple[str, str]] = [(f"revision-{assignment['id']}", assignment["revision"])]
    fields += s.random.choice(
        [
            [(f"verdict-{assignment['id']}", s.random.choice(["approve", "", "x", "submit", HOSTILE[0]]))],
            [(f"verdict-{assignment['id']}", "return")],
            [(f"verdict-{assignment['id']}", "pass"), (f"comment-{assignment['id']}", "a\x00b")],
            [(f"revision-{n}", "x") for n in range(3000)],
            [(f"field-x-bases-{'9' * 5000}-law", "x"), ("page", "9" * 400)],
            [("request_id", "x" * 5000), (f"verdict-{assignment['id']}", "pass")],
        ]
    )
    content = urlencode(fields, errors="surrogatepass").encode()
    if s.random.random() < 0.2:
        content = s.random.choice([b"%ff%fe=%00", b"a" * 100_000, b"&" * 70_000, b"=", b"\xff\xfe"])
    return "POST", f"/d/{s.links['p-gao']}", {"Content-Type": "application/x-www-form-urlencoded"}, content


def keys(s: Siege) -> Shot:
    """A key of the interface decides nothing, wherever it is sent."""
    bearer = {"Authorization": f"Bearer {s.key}", **JSON}
    body = json.dumps(s.body(s.decision("p-gao"))).encode()
    where = s.random.choice(
        [f"/d/{s.key}", "/api/v1/decisions", "/api/v1/desk", f"/api/v1/changes/{s.change_id}", f"/changes/{s.change_id}/withdraw",
         f"/changes/{s.change_id}/take_out"]
    )  # fmt: skip
    return "POST", where, bearer, body


def interface(s: Siege) -> Shot:
    """The JSON interface with rubbish."""
    bearer = {
        "Authorization": s.random.choice([f"Bearer {s.key}", "Bearer x", f"Basic {s.key}", "Bearer", s.key]),
        **JSON,
    }
    params: Any = s.random.choice(
        [{"title": "a\x00b"}, {"law": "x" * 300}, None, [], {"items": [{"set": {"name": "\ud800"}}]}]
    )
    body = s.random.choice(
        [
            json.dumps({"trigger": s.random.choice(["law_change", "x", "\x00"]), "params": params}).encode(),
            b"[" * 9000,
            b"\xff",
        ]
    )
    return "POST", "/api/v1/changes", {**bearer, "Idempotency-Key": s.random.choice(["k", "x" * 300])}, body


def reads(s: Siege) -> Shot:
    """Addresses no database can look for."""
    text = s.random.choice(["%00", "%ff", "a%00b", "'%3Bdrop", "%25", "9" * 400, "%ED%A0%80", "%0d%0aSet-Cookie:x=1"])
    where = s.random.choice(
        ["/i/{}", "/items?q={}", "/items?page={}", "/items?department={}", "/laws?q={}", "/laws/{}", "/laws/{}/2026-01-01/3",
         "/api/v1/items/{}", "/api/v1/lists/{}",
         "/s/{}", "/api/v1/items/{}/versions", "/changes/{}", "/i/990100342001?on={}", "/mailbox?mail={}", "/{}", "/static/{}",
         "/api/v1/changes/{}", "/api/v1/changes/x/log?after={}"]
    )  # fmt: skip
    headers = {"Authorization": f"Bearer {s.key}", "Cookie": f"shixiang_session={s.random.choice(['x', s.key])}"}
    return s.random.choice(["GET", "HEAD"]), where.format(text), headers, b""


def signing_in(s: Siege) -> Shot:
    """Signing in with what is no address, and looking at the link without pressing."""
    address = s.random.choice(
        ["nobody@evil.example", "x", "a\r\nBcc: b@c", "é@é", "a@b" * 200, "p-gao@shili.example,x@y.z"]
    )
    fields = urlencode({"email": address}).encode()
    return "POST", "/sign-in", {"Content-Type": "application/x-www-form-urlencoded"}, fields


def large(s: Siege) -> Shot:
    """More than anybody sends."""
    return sent(s.links["p-gao"], b'{"request_id": "' + b"x" * 10_000_000 + b'"}')


#: How many of a hundred shots are of which kind; looking and large bodies cost most.
ARSENAL: list[tuple[Callable[[Siege], Shot], int]] = [
    (forged, 30), (methods, 14), (malformed, 13), (keys, 8), (strangers, 6), (replayed, 5), (again, 5), (dead, 5),
    (stale, 4), (elsewhere, 3), (interface, 3), (reads, 2), (looks, 2), (signing_in, 1), (forms, 1),
]  # fmt: skip


async def fire(s: Siege, count: int) -> Counter[tuple[str, int]]:
    """So many shots, one after the other; how each kind was answered."""
    answered: Counter[tuple[str, int]] = Counter()
    arms, weights = zip(*ARSENAL, strict=True)
    transport = httpx2.ASGITransport(app=s.app, raise_app_exceptions=True)
    async with httpx2.AsyncClient(transport=transport, base_url="http://portal") as client:
        assert (await client.post(f"/d/{s.links['p-lu']}", json=s.accepted)).status_code == 200
        before = await asyncio.to_thread(standing, s.db)
        for number in range(count):
            arm = large if number % 1000 == 500 else s.random.choices(arms, weights)[0]
            method, path, headers, content = arm(s)
            try:
                answer = await client.request(method, path, headers=headers, content=content)
            except Exception as error:
                raise AssertionError(
                    f"shot {number} of {arm.__name__}: {method} {path[:120]} {content[:200]!r}"
                ) from error
            answered[(arm.__name__, answer.status_code)] += 1
            assert answer.status_code < 500, (arm.__name__, path[:120], content[:200], answer.text[:300])
            assert answer.headers["Cache-Control"] == "no-store" or path.startswith("/static/")
        assert await asyncio.to_thread(standing, s.db) == before
    return answered


#: What each kind of shot may be answered; a 200 only where nothing was asked to change, or it was answered before.
ALLOWED = {
    "looks": {200, 204, 405, 422}, "methods": {405, 501}, "replayed": {200}, "again": {409},
    "forged": {400, 404, 405, 410}, "strangers": {404, 409, 410, 422}, "stale": {409}, "dead": {409, 422},
    "elsewhere": {400, 403, 422}, "malformed": {400, 422}, "forms": {400, 413, 422}, "keys": {401, 403, 404, 405, 422},
    "interface": {400, 401, 422}, "reads": {200, 303, 400, 401, 404, 405, 422}, "signing_in": {200, 422}, "large": {413},
}  # fmt: skip


@pytest.mark.timeout(900)
def test_ten_thousand_hostile_requests_decide_nothing_and_break_nothing(siege: Siege) -> None:
    count = 10_000 if siege.db.sqlite else 800
    answered = asyncio.run(fire(siege, count))
    assert sum(answered.values()) == count
    wrong = {shot: n for shot, n in answered.items() if shot[1] not in ALLOWED[shot[0]]}
    assert not wrong
    assert {name for name, _ in answered} == set(ALLOWED)


def test_after_the_siege_the_right_person_decides_as_if_nothing_had_been(siege: Siege) -> None:
    asyncio.run(fire(siege, 200))

    async def decide() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=siege.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://portal") as client:
            return await client.post(f"/d/{siege.links['p-gao']}", json=siege.body(siege.decision("p-gao")))

    answer = asyncio.run(decide())
    assert (answer.status_code, answer.json()["recorded"][0]["person"]["id"]) == (200, "p-gao")


def test_a_body_without_a_length_is_refused_where_it_grows_too_large(siege: Siege) -> None:
    async def grow() -> httpx2.Response:
        async def endless() -> Any:
            for _ in range(12):
                yield b"x" * 1_000_000

        transport = httpx2.ASGITransport(app=siege.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://portal") as client:
            return await client.post(f"/d/{siege.links['p-gao']}", content=endless(), headers=JSON)

    assert asyncio.run(grow()).status_code == 413


def test_wrong_guesses_are_429_after_a_while_and_the_right_link_still_opens(siege: Siege) -> None:
    object.__setattr__(siege.app.state.portal, "limits", Limits(guess=Bucket(burst=20, a_second=0.001)))

    async def guess() -> tuple[list[int], httpx2.Response, httpx2.Response]:
        transport = httpx2.ASGITransport(app=siege.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://portal") as client:
            found = [await client.get(f"/d/{siege.links['p-gao'][:-4]}{n:04d}") for n in range(30)]
            key = await client.get("/api/v1/changes/x", headers={"Authorization": "Bearer sx_wrong"})
            return [one.status_code for one in found], key, await client.get(f"/d/{siege.links['p-gao']}", headers=JSON)

    guessed, key, right = asyncio.run(guess())
    assert guessed == [404] * 20 + [429] * 10
    assert (key.status_code, key.json()["error"]) == (429, "too_many_requests")
    assert int(key.headers["Retry-After"]) >= 1
    assert right.status_code == 200


def test_a_revoked_link_is_gone(siege: Siege) -> None:
    with siege.db.writer() as connection:
        its_own = update(LINK).where(LINK.c.person_id == "p-gao", LINK.c.purpose == "desk")
        connection.execute(its_own.values(revoked_at=START))

    async def decide() -> int:
        transport = httpx2.ASGITransport(app=siege.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://portal") as client:
            answer = await client.post(f"/d/{siege.links['p-gao']}", json=siege.body(siege.decision("p-gao")))
            return int(answer.status_code)

    assert asyncio.run(decide()) == 410
